"""A process that mirrors what is logged until it is killed: ``python -m tests.delivery.shadow.following HOME``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.delivery.shadow.behaving import Behaving

from orita.core.home import Home
from orita.delivery.shadow.follower import ShadowFollower


def main() -> None:
    """Follow."""
    follower = ShadowFollower(Home(Path(sys.argv[1])), "feed", Behaving({"v2.0.0": "same"}))
    while True:
        follower.catch_up()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
