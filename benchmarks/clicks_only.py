"""What does a bandit lose that is told of clicks alone, and silence is known only once the wait is over?

Clicks come within seconds, and that there was none is known after ``wait_seconds``. A bandit that counts each as it is
known believes, of whatever it showed of late, that all of it was clicked. Ours counts a choice as a whole when it
closes (`orita.delivery.bandits.open_choices`), which is later and without that bias. Side by side, with the same luck:

- ``held``: ours, by the code that servers run;
- ``at_once``: clicks when they come, silence when the wait is over;
- ``known``: all is known at once, which nobody can have: what delay costs at all.

Three arms with click rates of 0.02, 0.03 and 0.035, a decision a second, clicks after 30 s on average (exponential),
Thompson sampling from Beta(1, 9). ``bias`` is the mean over the run of what is believed of the arm that was picked most
(clicks ÷ counted) less its rate, as a share of the rate: 0 is right.

    python -m benchmarks.clicks_only [--runs 40 --decisions 20000 --wait 3600]     # last line JSON
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.delivery.bandits import BernoulliThompson
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.ledger import Ledger
from orita.delivery.bandits.records import Choice, Record, Rewards

RATES = (0.02, 0.03, 0.035)
ARMS = ("a", "b", "c")
SECOND = 1_000_000
LEARNT_EVERY = 60  # decisions


@dataclass(frozen=True)
class Run:
    """What one run came to: expected clicks that were lost, and the relative bias of what was believed."""

    regret: float
    bias: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--decisions", type=int, default=20_000, help="of each run, one a second")
    parser.add_argument("--wait", type=int, default=3_600, help="seconds until silence is known")
    parser.add_argument("--delay", type=float, default=30.0, help="seconds until a click, on average")
    options = parser.parse_args()
    print(f"{options.runs} runs of {options.decisions:,} decisions, {LEARNT_EVERY} s between looks")
    figures: dict[str, float] = {}
    for way in ("held", "at_once", "known"):
        runs = [one_run(way, seed, options.decisions, options.wait, options.delay) for seed in range(options.runs)]
        for name in ("regret", "bias"):
            each = np.array([getattr(run, name) for run in runs])
            figures |= {
                f"{way}_{name}": round(float(each.mean()), 3),
                f"{way}_{name}_error": round(float(each.std(ddof=1) / len(each) ** 0.5), 3),
            }
        print(
            f"{way:8} regret {figures[f'{way}_regret']:7.1f} ± {figures[f'{way}_regret_error']:.1f} clicks, "
            f"bias {figures[f'{way}_bias']:+.3f} ± {figures[f'{way}_bias_error']:.3f}",
            flush=True,
        )
    print(json.dumps(figures))


def one_run(way: str, seed: int, decisions: int, wait: int, delay: float) -> Run:
    """Return what a bandit loses that is told in one of the ways."""
    luck, rng = (np.random.default_rng([seed, part]) for part in range(2))
    clicked_TA = luck.random((decisions, len(ARMS))) < RATES
    after_T = np.minimum(luck.exponential(delay, decisions), wait - 1)
    policy = BernoulliThompson(successes=1, failures=9)
    silence = 0.0 if way == "held" else None  # else every arm is told its reward, and the times are ours
    declared = BanditDeclaration(key="title", policy=policy, arms=ARMS, wait_seconds=wait, unrewarded=silence)
    ledger, due = Ledger(declared), list[tuple[float, Record]]()
    picks, beliefs = np.zeros(decisions, np.int64), list[npt.NDArray[np.float64]]()
    for now in range(decisions):
        if now % LEARNT_EVERY == 0:
            due.sort(key=lambda each: each[0])
            known = sum(at <= now for at, _ in due)
            ledger.fold([(int(at * SECOND), record) for at, record in due[:known]])
            due = due[known:]
            counts = [ledger.arms.get(arm) for arm in ARMS]
            beliefs.append(np.array([c.total / c.rewarded if c and c.rewarded else np.nan for c in counts]))
        picked = str(ledger.bandit.pick(rng))
        arm = picks[now] = ARMS.index(picked)
        made = Choice("title", f"{now}", 0, [picked], list(ARMS), [1.0], [0.0], None, None, declared.learning, 0)
        due.append((now, made))
        clicked = bool(clicked_TA[now, arm])
        told = {"held": after_T[now], "at_once": after_T[now] if clicked else wait - 0.5, "known": 0.0}[way]
        if clicked or way != "held":
            due.append((now + float(told), Rewards("title", f"{now}", 0, None, [float(clicked)])))
    most = int(np.bincount(picks, minlength=len(ARMS)).argmax())
    believed = np.array(beliefs)[:, most]
    bias = float(np.nanmean(believed[len(believed) // 10 :]) / RATES[most] - 1)
    return Run(float((max(RATES) - np.array(RATES)[picks]).sum()), bias)


if __name__ == "__main__":
    main()
