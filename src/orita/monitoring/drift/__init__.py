"""Did what the model sees, or what it answers, change? Drift with a false-alarm rate that holds."""

from orita.monitoring.drift.compare import feature_drift, prediction_drift

__all__ = ["feature_drift", "prediction_drift"]
