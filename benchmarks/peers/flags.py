"""The same flag in GrowthBook, Unleash and OpenFeature's provider in memory: a rule on the country, and half of those.

It runs in an environment of its own, with what ``requirements/flags.txt`` names, and answers a line with a
line: ``NAME CALLS`` with the nanoseconds that so many evaluations took, ``NAME share`` with the share that is on.

    PYTHON benchmarks/peers/flags.py
"""

import logging
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial

KEY, HALF, COUNTRIES = "new-checkout", 50, ["SE", "DK"]
USERS = [{"id": f"user-{n:06}", "country": COUNTRIES[n % 2]} for n in range(1000)]


def growthbook() -> list[Callable[[], bool]]:
    """A ready GrowthBook a user."""
    from growthbook import GrowthBook  # type: ignore[import-not-found]

    rule = {"condition": {"country": {"$in": COUNTRIES}}, "force": True, "coverage": HALF / 100, "hashAttribute": "id"}
    features = {KEY: {"defaultValue": False, "rules": [rule]}}
    ready = [GrowthBook(attributes=user, features=features) for user in USERS]
    return [partial(one.is_on, KEY) for one in ready]


def unleash() -> list[Callable[[], bool]]:
    """One client, which is given each user's context."""
    from UnleashClient import UnleashClient  # type: ignore[import-not-found]
    from UnleashClient.cache import FileCache  # type: ignore[import-not-found]

    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    constraint = {"contextName": "country", "operator": "IN", "values": COUNTRIES}
    parameters = {"rollout": str(HALF), "stickiness": "userId", "groupId": KEY}
    strategy = {"name": "flexibleRollout", "parameters": parameters, "constraints": [constraint]}
    cache = FileCache("bench", directory=tempfile.mkdtemp())
    cache.bootstrap_from_dict({"version": 2, "features": [{"name": KEY, "enabled": True, "strategies": [strategy]}]})
    client = UnleashClient("http://127.0.0.1:9", "bench", cache=cache, disable_metrics=True, disable_registration=True)
    client.initialize_client(fetch_toggles=False)
    contexts = [{"userId": user["id"], "properties": {"country": user["country"]}} for user in USERS]
    return [partial(client.is_enabled, KEY, context) for context in contexts]


def openfeature() -> list[Callable[[], bool]]:
    """The SDK's client; its provider in memory has no rules, so a function of ours is the rule."""
    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    def rule(flag: InMemoryFlag[bool], context: EvaluationContext) -> FlagResolutionDetails[bool]:
        on = context.attributes["country"] in COUNTRIES
        on = on and zlib.crc32(f"{KEY}:{context.targeting_key}".encode()) % 100 < HALF
        return FlagResolutionDetails(on, reason=Reason.SPLIT, variant="on" if on else "off")

    api.set_provider(InMemoryProvider({KEY: InMemoryFlag("off", {"on": True, "off": False}, context_evaluator=rule)}))
    client = api.get_client()
    contexts = [EvaluationContext(user["id"], {"country": user["country"]}) for user in USERS]
    return [partial(client.get_boolean_value, KEY, False, context) for context in contexts]


def main() -> None:
    """Answer until there are no more lines."""
    ready: dict[str, list[Callable[[], bool]]] = {}
    for line in sys.stdin:
        name, what = line.split()
        if name not in ready:
            ready[name] = MAKERS[name]()
        calls = ready[name]
        if what == "share":
            print(sum(call() for call in calls) / len(calls), flush=True)
            continue
        some = (calls * (int(what) // len(calls) + 1))[: int(what)]
        started = time.perf_counter_ns()
        for call in some:
            call()
        print(time.perf_counter_ns() - started, flush=True)


MAKERS = {"growthbook": growthbook, "unleash": unleash, "openfeature": openfeature}

if __name__ == "__main__":
    main()
