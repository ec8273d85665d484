"""Alertmanager: which alert goes to whom, from the same sinks that Orita's own loop tells."""

from __future__ import annotations

from typing import Any

from orita.deploy.rendered import RenderedFile, to_yaml
from orita.deploy.site import Site
from orita.monitoring.alerting.durations import to_prometheus
from orita.monitoring.config import AlertingConfig

__all__ = ["SECRETS", "alertmanager_file", "receivers_of"]

SECRETS = "/etc/alertmanager/secrets"
"""Where Alertmanager finds what no rendered file holds: ``smtp_password``, ``slack_webhook``."""

_ABOUT = f"""\
Check it with amtool check-config. Secrets are not in it: put the password of the mail server into
{SECRETS}/smtp_password, Slack's URL into {SECRETS}/slack_webhook."""
_EVERYBODY, _NOBODY = "everybody", "nobody"


def receivers_of(config: AlertingConfig) -> dict[str, dict[str, Any]]:
    """Return what Alertmanager can tell, by the name of the sink."""
    found: dict[str, dict[str, Any]] = {}
    if config.recipients:
        found["email"] = {"email_configs": [{"to": ", ".join(config.recipients), "send_resolved": True}]}
    if config.slack_webhook is not None:
        text = "{{ range .Alerts }}{{ .Annotations.summary }} ({{ .Annotations.runbook_url }})\n{{ end }}"
        slack = {"api_url_file": f"{SECRETS}/slack_webhook", "send_resolved": True, "text": text}
        found["slack"] = {"slack_configs": [slack]}
    if config.webhook is not None:
        found["webhook"] = {"webhook_configs": [{"url": config.webhook, "send_resolved": True}]}
    return found


def alertmanager_file(site: Site) -> RenderedFile:
    """Return its configuration: one receiver for all sinks, one for each set of sinks that a rule names."""
    config = site.alerting
    known = receivers_of(config)
    sets = sorted({",".join(rule.sinks) for rule in config.rules_on.values() if rule.sinks})
    default = _EVERYBODY if known else _NOBODY
    content = {
        "global": {"resolve_timeout": "5m", **(_smtp(config) if "email" in known else {})},
        "route": {
            "receiver": default,
            "group_by": list(config.group_by) or ["alertname", "slo"],
            "group_wait": to_prometheus(config.group_wait or 30),
            "group_interval": "5m",
            "repeat_interval": to_prometheus(max(3600 * config.cooldown_hours, 300)),
            "routes": [{"matchers": [f'sinks="{each}"'], "receiver": each.replace(",", "-and-")} for each in sets],
        },
        "inhibit_rules": [
            _inhibits(['severity="critical"'], ['severity="warning"'], ["alertname", "slo", "instance"]),
            # A server that does not answer has no model either.
            _inhibits(
                ['alertname="SERVER_DOWN"'], ['alertname=~"NO_MODEL|PACKAGE_REFUSED|BREAKER_OPEN"'], ["instance"]
            ),
        ],
        "receivers": [
            _receiver(default, list(known.values())),
            *(
                _receiver(each.replace(",", "-and-"), [known[sink] for sink in each.split(",") if sink in known])
                for each in sets
            ),
        ],
    }
    return RenderedFile("alertmanager/alertmanager.yaml", to_yaml(_ABOUT, content))


def _smtp(config: AlertingConfig) -> dict[str, Any]:
    smtp = config.smtp
    signed = {"smtp_auth_username": smtp.username, "smtp_auth_password_file": f"{SECRETS}/smtp_password"}
    return {
        # With TLS from the first byte (port 465) Alertmanager needs no further word.
        "smtp_smarthost": f"{smtp.host}:{smtp.port}",
        "smtp_from": smtp.sender,
        "smtp_require_tls": smtp.security == "starttls",
        **(signed if smtp.username else {}),
    }


def _inhibits(source: list[str], target: list[str], equal: list[str]) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target, "equal": equal}


def _receiver(name: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, **{key: value for part in parts for key, value in part.items()}}
