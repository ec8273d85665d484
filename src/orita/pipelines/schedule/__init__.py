"""When pipelines run: cron in UTC, what follows what, and the loop that carries it out one at a time."""

from orita.pipelines.schedule.cron import Cron
from orita.pipelines.schedule.requests import Request, Requests
from orita.pipelines.schedule.scheduler import Planned, Scheduler

__all__ = ["Cron", "Planned", "Request", "Requests", "Scheduler"]
