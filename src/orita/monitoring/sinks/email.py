"""Alerts by e-mail (SMTP)."""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage

from orita.core.errors import UserError
from orita.monitoring.config import SmtpConfig
from orita.monitoring.sinks.sink import Notice, headline, plain_text

__all__ = ["EmailSink"]


@dataclass(frozen=True, slots=True)
class EmailSink:
    """Sends one message to all recipients.

    Attributes:
        recipients: addresses.
        smtp: the server that takes it.
        environment: where the password is looked up when it is needed.
    """

    recipients: tuple[str, ...]
    smtp: SmtpConfig
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def send(self, notices: Sequence[Notice], key: str = "") -> None:
        """Send *notices*; mail programs show one message of a key once, since its ``Message-ID`` is made of it.

        Raises:
            OSError: the server cannot be reached, or refused (`smtplib.SMTPException`).
            UserError: a user name is configured, and its password is not set.
        """
        message = EmailMessage()
        # A line break would end the header, and let a name write the next one.
        message["Subject"] = " ".join(headline(notices).split())
        message["From"] = self.smtp.sender
        message["To"] = ", ".join(self.recipients)
        if key:
            message["Message-ID"] = f"<{key}@{self.smtp.sender.rpartition('@')[2] or 'localhost'}>"
        message.set_content(plain_text(notices))
        with self._connect() as server:
            if self.smtp.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self.smtp.username is not None:
                server.login(self.smtp.username, self._password())
            server.send_message(message)

    def _connect(self) -> smtplib.SMTP:
        smtp = self.smtp
        if smtp.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=smtp.timeout_seconds, context=context)
        return smtplib.SMTP(smtp.host, smtp.port, timeout=smtp.timeout_seconds)

    def _password(self) -> str:
        variable = self.smtp.password_variable
        password = self.environment.get(variable)
        if password is None:
            raise UserError(
                f"alerting.smtp.username is set and the environment variable {variable} is not: "
                "set it to the password, or remove the user name."
            )
        return password
