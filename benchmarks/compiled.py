"""Would a model answer faster compiled for the machine? Its graph as it is served, beside ``torch.compile``.

Models of several types with their default sizes, trained briefly on made-up clicks (`benchmarks.batching`), score
requests of 1, 10, 100 and 1,000 items on one thread: the package as a server asks it, from the values of features to
probabilities, with the vectors of items that it has made ahead; the network alone in PyTorch; and the network compiled
by ``torch.compile`` (Inductor, which needs a C++ compiler). PyTorch gets its tensors ready made, with ids looked up and
features prepared, so it does less. Of many rounds the least processor time is told. ``ratio_100`` of a type is what
compiled takes over what the package takes for 100 items.

    python -m benchmarks.compiled        # last line: one JSON object; needs the extra train and a C++ compiler
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.batching import FEATURES, IDS, least, of_one_user, trained_ranker

from orita.models.package import load_package

TYPES, ITEMS = ("two_tower", "deep_mlp", "dcn_v2"), (1, 10, 100, 1000)


def main() -> None:
    """Measure, and print a table."""
    argparse.ArgumentParser(description="The served graph beside torch.compile.").parse_args()
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    print(f"µs of processor time a request; {FEATURES} features")
    print(f"{'model':>10} {'items':>6} {'as served':>10} {'PyTorch':>9} {'compiled':>9}")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for type_ in TYPES:
            with torch.inference_mode(mode=False):
                ranker = trained_ranker(Path(folder) / type_, type_)
            learner = ranker._parts()[3]
            network = learner.network.eval()
            compiled: Any = torch.compile(network, dynamic=False)
            package, random = load_package(Path(folder) / type_), np.random.default_rng(1)
            for count in ITEMS:
                items, x_NF = random.permutation(IDS)[:count].tolist(), of_one_user(random, count)
                tensors = _tensors(learner, count, x_NF)
                ways = {
                    "served": partial(package.score_user, 7, items, x_NF),
                    "eager": partial(network, *tensors),
                    "compiled": partial(compiled, *tensors),
                }
                took = {way: least(work) for way, work in ways.items()}
                print(f"{type_:>10} {count:6} " + " ".join(f"{micros:9.1f}" for micros in took.values()))
                figures |= {f"{type_}_{count}_{way}_us": round(micros, 1) for way, micros in took.items()}
                figures[f"{type_}_ratio_{count}"] = round(took["compiled"] / took["served"], 2)
    print(json.dumps(figures))


def _tensors(learner: Any, count: int, x_NF: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[torch.Tensor, ...]:
    """Return what a network takes for *count* items: rows of both tables, dense values, and no categories."""
    users_BE = learner.users.table_VE[7:8].expand(count, -1).contiguous()
    items_BE = learner.items.table_VE[1 : count + 1].contiguous()
    return users_BE, items_BE, torch.from_numpy(x_NF), torch.zeros((count, 0), dtype=torch.int64)


if __name__ == "__main__":
    main()
