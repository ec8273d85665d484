"""The features of the past on a cluster: the plan and the kernel of `history`, some of the keys a worker."""

from orita.features.config import SparkConfig
from orita.features.spark.offline import offline_features, training_rows
from orita.features.spark.reading import features_of_rows
from orita.features.spark.sessions import session_at_work, spark_session
from orita.features.spark.tables import Table

__all__ = [
    "SparkConfig",
    "Table",
    "features_of_rows",
    "offline_features",
    "session_at_work",
    "spark_session",
    "training_rows",
]
