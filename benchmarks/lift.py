"""How much of what can be known of generated users does the two-tower find? The worst of three worlds.

``make bench B=lift``; the last line is one JSON object. A world is generated, its features computed, a two-tower
trained as shipped; ``lift_share`` is its lift over chance (AUC - 0.5) on test rows, divided by that of a reference that
is given the users' true tastes (`benchmarks.loop`, `benchmarks.reference`). Rows are split by time; test rows choose
nothing.

    python -m benchmarks.lift [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.loop import measure


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    shares: dict[str, float] = {}
    print("protocol: 1 M generated interactions a world, split 70/15/15 by time; two_tower alone, as the feed ships it")
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), seed, ["beside=[]", *options.overrides])
        shares[str(seed)] = round(found["lift_share"], 4)
        print(
            f"  world {seed}: rows {found['rows']}, test AUC {found['auc']:.4f}, "
            f"reference {found['reference_auc']:.4f}, share {found['lift_share']:.4f}, "
            f"{found['train_seconds']:.0f} s of training",
            flush=True,
        )
    print(json.dumps({"share": min(shares.values()), "shares": shares}))


if __name__ == "__main__":
    main()
