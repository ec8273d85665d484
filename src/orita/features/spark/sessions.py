"""A Spark session with the settings that features need, or a sentence that says what is missing on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orita.core.errors import MissingExtra
from orita.core.extras import require
from orita.features.config import SparkConfig

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["session_at_work", "spark_session"]

_LOOPBACK = "127.0.0.1"


def spark_session(config: SparkConfig | None = None) -> SparkSession:
    """Return the running session of this process, or start one as *config* says.

    Times are in UTC, workers run this Python, batches go to them by 64 Ki rows, and there is no web page.

    Raises:
        MissingExtra: PySpark or Java is not installed; the sentence is the line that installs it.
    """
    config = config or SparkConfig()
    require("pyspark", extra="spark")
    require("pandas", extra="spark")
    _require_java()
    from pyspark.sql import SparkSession

    settings = _settings(config) | config.settings
    builder = SparkSession.builder.appName("orita").master(config.master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    with _worker_python(settings["spark.pyspark.python"]):
        return builder.getOrCreate()


@contextmanager
def session_at_work(config: SparkConfig | None = None) -> Iterator[SparkSession]:
    """Yield the running session of this thread, or one that is started as *config* says and stopped at the end.

    Raises:
        MissingExtra: as of `spark_session`.
    """
    require("pyspark", extra="spark")
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession() is not None
    session = spark_session(config)
    try:
        yield session
    finally:
        if not running:
            session.stop()


def _settings(config: SparkConfig) -> dict[str, str]:
    settings = {
        "spark.driver.memory": config.driver_memory,
        "spark.pyspark.python": sys.executable,
        "spark.sql.caseSensitive": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(1 << 16),
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if config.master.startswith("local"):
        settings |= {"spark.driver.bindAddress": _LOOPBACK, "spark.driver.host": _LOOPBACK}
    return settings


@contextmanager
def _worker_python(executable: str) -> Iterator[None]:
    """Let the session that starts here run *executable* in its workers, unless ``PYSPARK_PYTHON`` says another.

    The setting of that name is read by ``spark-submit`` only.
    """
    if "PYSPARK_PYTHON" in os.environ:
        yield
        return
    os.environ["PYSPARK_PYTHON"] = executable
    try:
        yield
    finally:
        del os.environ["PYSPARK_PYTHON"]


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if (Path(home) / "bin" / "java").exists() if home else shutil.which("java"):
        return
    where = f"in JAVA_HOME={home}" if home else "on the PATH"
    raise MissingExtra(
        f"there is no Java {where}, and Spark runs on Java 17 or 21: apt-get install openjdk-17-jre-headless"
    )
