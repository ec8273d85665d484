"""A mail server on this machine, for tests of who is told by e-mail."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orita.monitoring.config import SmtpConfig

__all__ = ["Mailbox", "running_mailbox", "smtp_of"]


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server that keeps what it takes, and refuses what it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailConversation)
        self.mails: list[bytes] = []
        self.recipients: list[str] = []
        self.refused = False
        self.context: ssl.SSLContext | None = None
        self.said: list[str] = []

    def handle_error(self, *_: Any) -> None:
        """Say nothing: a caller who does not trust it hangs up."""


class _MailConversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        box = self.server
        assert isinstance(box, Mailbox)
        self._say("220 ready")
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            box.said.append(line)
            if verb == "EHLO" and box.context:
                self._say("250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN")
            elif verb == "STAR" and box.context:
                self._say("220 go on")
                secured = box.context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = secured.makefile("rb"), secured.makefile("wb")
                secured.close()  # what was made of it keeps it open
            elif verb == "AUTH":
                known = base64.b64decode(line.split()[2]) == b"\0me\0pass word"
                self._say("235 welcome" if known else "535 no")
            elif verb == "RCPT" and box.refused:
                self._say("550 no such user")
            elif verb == "DATA":
                self._say("354 go on")
                box.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                if verb == "RCPT":
                    box.recipients.append(line)
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
        self.wfile.flush()


@contextmanager
def running_mailbox() -> Iterator[Mailbox]:
    """Run a mail server."""
    with Mailbox() as box:
        thread = threading.Thread(target=box.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield box
        box.shutdown()
        thread.join()


def smtp_of(box: Mailbox, **more: Any) -> SmtpConfig:
    """Return the configuration that sends to it."""
    return SmtpConfig(host="127.0.0.1", port=box.server_address[1], sender="orita@example.org", **more)
