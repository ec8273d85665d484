"""What is watched, at which level, who is told: `monitoring_config.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from orita.core.config import Section
from orita.core.errors import closest
from orita.monitoring.alerting.declaring import SHIPPED, read_rules, read_sections
from orita.monitoring.alerting.durations import Duration
from orita.monitoring.alerting.rules import BurnRateRule, Rule, ThresholdRule
from orita.monitoring.alerting.slos import Slo

__all__ = [
    "AlertingConfig",
    "DriftDetectionConfig",
    "DriftTest",
    "Method",
    "MonitoringConfig",
    "PerformanceConfig",
    "RetrainingTriggers",
    "SmtpConfig",
]

Method = Literal["calibrated", "ks_test", "psi"]
_ATTRIBUTE = r"^\w+\.\w+$"
_FIXED_THRESHOLDS: dict[Method, float] = {"ks_test": 0.1, "psi": 0.2}


class DriftTest(Section):
    """How one kind of drift is decided.

    Attributes:
        method: ``calibrated`` holds the false-alarm rate; ``ks_test`` and ``psi`` compare with a fixed
            threshold.
        threshold: of the fixed methods, by default 0.1 (KS) and 0.2 (PSI); drift is a statistic above it.
        min_effect: calibrated only: share of rows that must have moved before drift is more than a curiosity.
        bins: quantile bins of PSI.
    """

    method: Method = "calibrated"
    threshold: float | None = Field(default=None, gt=0)
    min_effect: float = Field(default=0.05, ge=0, lt=1)
    bins: int = Field(default=10, ge=2, le=1000)

    @model_validator(mode="after")
    def _threshold_has_a_method(self) -> DriftTest:
        if self.method == "calibrated" and self.threshold is not None:
            raise ValueError("a threshold needs method ks_test or psi; method calibrated takes min_effect instead")
        return self

    @property
    def limit(self) -> float:
        """The statistic above which there is drift: the fixed threshold, or the smallest effect that matters."""
        if self.method == "calibrated":
            return self.min_effect
        return _FIXED_THRESHOLDS[self.method] if self.threshold is None else self.threshold


class DriftDetectionConfig(Section):
    """Drift of features and of predictions.

    Attributes:
        false_alarm_rate: share of reports on unchanged data that may alarm; four fifths go to features, one
            fifth to predictions. Holds for method ``calibrated``.
        reference: what recent requests are compared with: ``served`` (the version's own first requests, for good),
            ``sliding`` (the windows before), ``seasonal`` (the same hours of earlier weeks, whose differences count
            as natural) or ``training`` (the test split that the model was judged on). Without enough earlier requests
            the first half of the window is compared with the second.
        reference_windows: at most so many windows (sliding) or weeks (seasonal).
        segments: features whose values split the requests; each other feature is tested within each value too.
        texts: attributes whose words are compared, such as ``item.title``; of the system's user and item.
        embeddings: by a name, the columns that make a vector: attributes (``item.style_*``), or features.
        confirmations: an alarm needs drift in so many consecutive reports; 1: at once.
        min_requests: fewer requests than this on either side are not judged by a fixed threshold either.
        max_requests: at most this many requests, drawn at random, are compared; the cost of a report is
            bounded by it.
        calendar_features: features that follow the clock; a window of other hours or days changes them by
            nature.
        growing_features: features that grow as time passes, beside all of kind ``count``.
        importance: weight of a feature for the order of findings, ≥ 0; features that are not named have 1.
        seed: fixes which candidate stands for its request.
    """

    feature_drift: DriftTest = DriftTest()
    prediction_drift: DriftTest = DriftTest()
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=1)
    reference: Literal["training", "served", "sliding", "seasonal"] = "served"
    reference_windows: int = Field(default=8, ge=1, le=104)
    segments: tuple[str, ...] = ()
    texts: tuple[Annotated[str, Field(pattern=_ATTRIBUTE)], ...] = ()
    embeddings: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    confirmations: int = Field(default=1, ge=1, le=30)
    min_requests: int = Field(default=30, ge=1)
    max_requests: int = Field(default=20_000, ge=100)
    calendar_features: tuple[str, ...] = ("hour_of_day", "day_of_week")
    growing_features: tuple[str, ...] = ("item_age_days",)
    importance: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _contents_have_no_threshold(self) -> DriftDetectionConfig:
        if (self.texts or self.embeddings) and self.feature_drift.method != "calibrated":
            raise ValueError("texts and embeddings need feature_drift.method calibrated: they have no fixed threshold")
        return self


class PerformanceConfig(Section):
    """Quality judged from feedback, and speed.

    Attributes:
        auc_degradation_threshold: loss of AUC against the model's own test AUC that counts as degradation.
        latency_p99_threshold_ms: limit of the 99th percentile of a request's latency.
        min_labels: joined rows below which quality is not judged.
        min_clicks: clicks, and non-clicks, below which quality is not judged.
        min_latencies: requests below which a 99th percentile is not judged.
        false_alarm_rate: chance that a loss of AUC is called sure when there is none.
        resamples: bootstrap samples, by request.
        seed: fixes the bootstrap.
        attribution_hours: for how long after its prediction an answer counts; null: however late it is.
        feedback_delay_hours: how late an answer may become known after that; until then its prediction is in no figure.
        unanswered: what a prediction is whose window passed without an answer: ``unknown``, or ``no_click`` where the
            source sends clicks alone.
    """

    auc_degradation_threshold: float = Field(default=0.05, gt=0, lt=0.5)
    latency_p99_threshold_ms: float = Field(default=1000.0, gt=0)
    min_labels: int = Field(default=200, ge=2)
    min_clicks: int = Field(default=30, ge=1)
    min_latencies: int = Field(default=100, ge=1)
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5)
    resamples: int = Field(default=500, ge=100, le=20_000)
    seed: int = Field(default=0, ge=0)
    attribution_hours: float | None = Field(default=None, gt=0)
    feedback_delay_hours: float = Field(default=0.0, ge=0)
    unanswered: Literal["unknown", "no_click"] = "unknown"

    @model_validator(mode="after")
    def _no_click_has_a_window(self) -> PerformanceConfig:
        if self.unanswered == "no_click" and self.attribution_hours is None:
            raise ValueError("unanswered: no_click needs attribution_hours, after which nothing is waited for")
        return self


class SmtpConfig(Section):
    """The server that takes e-mail.

    Attributes:
        host, port: where it listens.
        security: ``none``, ``starttls`` or ``tls``.
        username: to sign in with; null: no sign-in.
        password_variable: environment variable that holds the password, so that no file does.
        sender: address that alerts come from.
        timeout_seconds: limit of each step.
    """

    host: str = "localhost"
    port: int = Field(default=25, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password_variable: str = Field(default="ORITA_SMTP_PASSWORD", min_length=1)
    sender: str = "orita@localhost"
    timeout_seconds: float = Field(default=10.0, gt=0)


class AlertingConfig(Section):
    """Who is told. The log and the file of alerts are always told.

    Attributes:
        email: one or more addresses, separated by commas; null: no e-mail.
        slack_webhook: URL of a Slack incoming webhook; null: none.
        webhook: URL that takes alerts as JSON by POST; null: none.
        webhook_form: what it takes: ``orita``, a CloudEvent, or what Alertmanager would post.
        alertmanager: address of an Alertmanager that is handed the alerts; null: none.
        smtp: the mail server.
        file: what is known of alerts, and what is still to be told (SQLite); null: ``alerts.db`` among the reports.
        cooldown_hours: the same alert is not sent again before this time has passed.
        group_by: labels; notices that have them equal share a message; empty: all that is to be sent at once do.
        group_wait: a notice waits so long for others to share its message.
        timeout_seconds: limit of one webhook call.
        attempts: tries of one webhook call, with growing pauses.
        rules: alerts by name, over the shipped ones ([alerts.md](docs/alerts.md)); null switches one off.
        slos: promises to users by name, whose error budgets are watched.
        targets: ``host:port`` of servers whose metrics ``orita alerts`` reads; empty: this machine's server.
        interval: between two looks of ``orita alerts run``.
        token_variable: environment variable that holds the token by which metrics are read, where one is needed.
    """

    email: str | None = None
    slack_webhook: str | None = None
    webhook: str | None = None
    webhook_form: Literal["orita", "cloudevents", "alertmanager"] = "orita"
    alertmanager: str | None = None
    smtp: SmtpConfig = SmtpConfig()
    file: str | None = None
    cooldown_hours: float = Field(default=24.0, ge=0)
    group_by: tuple[str, ...] = ()
    group_wait: Duration = 0.0
    timeout_seconds: float = Field(default=5.0, gt=0)
    attempts: int = Field(default=3, ge=1, le=10)
    rules: dict[str, Rule | None] = Field(default_factory=lambda: read_rules({}))
    slos: dict[str, Slo] = {}
    targets: tuple[str, ...] = ()
    interval: Duration = Field(default=15.0, ge=0.1)
    token_variable: str = "ORITA_METRICS_TOKEN"  # noqa: S105 - a name of the environment, no password

    @field_validator("rules", mode="before")
    @classmethod
    def _over_the_shipped(cls, value: Any) -> Any:
        return read_rules({} if value is None else value)

    @field_validator("slos", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return read_sections("an SLO", Slo, {} if value is None else value)

    @model_validator(mode="after")
    def _rules_name_what_there_is(self) -> AlertingConfig:
        for name, rule in self.rules.items():
            if isinstance(rule, BurnRateRule) and rule.slo not in self.slos:
                raise ValueError(f"the rule {name} names the SLO {rule.slo!r}. {closest(rule.slo, self.slos)}")
        return self

    @field_validator("email")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        if value is not None and not all("@" in address.strip()[1:-1] for address in value.split(",")):
            raise ValueError("use addresses such as team@example.org, separated by commas, or null")
        return value

    @field_validator("slack_webhook", "webhook", "alertmanager")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValueError("use a URL that starts with https:// or http://, or null")
        return value

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses of ``email``, one by one."""
        return tuple(address.strip() for address in self.email.split(",")) if self.email else ()

    @property
    def rules_on(self) -> dict[str, Rule]:
        """The rules that are not switched off."""
        return {name: rule for name, rule in self.rules.items() if rule is not None}

    def book(self, reports: Path) -> Path:
        """Return where alerts are remembered; *reports* is the home's folder of reports."""
        return Path(self.file) if self.file else reports / "alerts.db"


class RetrainingTriggers(Section):
    """What asks for a new model.

    Attributes:
        feature_drift: alarming drift of features or predictions does.
        performance_degradation: a sure loss of AUC does.
        scheduled: ``daily`` (00:00 UTC), ``weekly`` (Sunday 00:00), ``monthly`` (the 1st, 00:00), or null.
        min_hours_between: drift and degradation wait this long after the last training; the schedule does
            not.
        max_age_days: a champion that was trained longer ago does; null: not.
        new_rows: so many labelled events that are later than what was last learned from do; null: not.
        data_quality: rows of the last ingest that were no such as ``quality.yaml`` declares do, once they are ingested.
        alerts: an alert of one of these names that fires does, once for each time that it begins to.
        hold_while: while an alert of one of these names fires nothing is trained: what it is about would be learned.
    """

    feature_drift: bool = True
    performance_degradation: bool = True
    scheduled: Literal["daily", "weekly", "monthly"] | None = "weekly"
    min_hours_between: float = Field(default=20.0, ge=0)
    max_age_days: float | None = Field(default=None, gt=0)
    new_rows: int | None = Field(default=None, ge=1)
    data_quality: bool = False
    alerts: tuple[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")], ...] = ()
    hold_while: tuple[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")], ...] = ()


class MonitoringConfig(Section):
    """The whole of `monitoring_config.yaml`.

    Attributes:
        drift_detection, performance_monitoring, alerting, retraining_triggers: the sections.
        window_hours: predictions of this long before the latest one are looked at.
    """

    drift_detection: DriftDetectionConfig = DriftDetectionConfig()
    performance_monitoring: PerformanceConfig = PerformanceConfig()
    alerting: AlertingConfig = AlertingConfig()
    retraining_triggers: RetrainingTriggers = RetrainingTriggers()
    window_hours: float = Field(default=24.0, gt=0)

    @property
    def rules(self) -> dict[str, Rule]:
        """The declared alerts; the shipped limit of latency is the one that performance is held to."""
        rules, name = self.alerting.rules_on, "HIGH_LATENCY"
        rule = rules.get(name)
        if isinstance(rule, ThresholdRule) and rule.above == SHIPPED[name]["above"]:
            limit = self.performance_monitoring.latency_p99_threshold_ms / 1000
            rules[name] = rule.model_copy(update={"above": limit})
        return rules
