"""Every estimator beside what happened: the Open Bandit Dataset, random → BTS and BTS → random.

A row is an item at one of three positions, with the probability that its policy gave it there; it is taken as one
decision whose context is the position. The probabilities of random are known, 1 ÷ items. Those of BTS are logged only
for what it showed, and change in time; here its mean probability of an item at a position is the share of its rows
there.

FOLDER is the Open Bandit Dataset, or the sample of 10,000 rows a policy which the Open Bandit Pipeline keeps in its
repository under ``obp/dataset/obd``: it holds ``random`` and ``bts``, and each of them ``men/men.csv`` or ``men.csv``.
Both are linked from https://research.zozo.com/data.html.

    python -m benchmarks.ope_bandit FOLDER [--campaign men]      # last line: one JSON object of value, low and high
    make bench B=ope_bandit DATA=FOLDER

Source: Saito et al. (2020), Open Bandit Dataset and Pipeline; CC BY 4.0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from orita.core.errors import UserError
from orita.delivery.ope import LinearRewards, LoggedDecisions, cross_fitted, evaluate_decisions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


COLUMNS = ("item_id", "position", "click", "propensity_score")


def main() -> None:
    """Evaluate, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the folders random and bts")
    parser.add_argument("--campaign", choices=("men", "women", "all"), default="men")
    options = parser.parse_args()
    try:
        figures = open_bandit(options.folder, options.campaign)
    except UserError as error:
        parser.error(str(error))
    print(json.dumps(figures))


def open_bandit(folder: Path, campaign: str = "men") -> dict[str, object]:
    """Print both directions; return the figures.

    Raises:
        UserError: *folder* does not hold the campaign's rows of both policies.
    """
    logs = {name: rows_of(file_of(folder / name, campaign)) for name in ("random", "bts")}
    items = 1 + max(int(item_N.max()) for item_N, *_ in logs.values())
    return {
        f"{source}_to_{target}": told(logs, source, target, items, campaign)
        for source, target in (("random", "bts"), ("bts", "random"))
    }


def told(
    logs: dict[str, tuple[Ints, Ints, Floats, Floats]], source: str, target: str, items: int, campaign: str
) -> dict[str, object]:
    """Print one direction; return the figures."""
    item_N, position_N, click_N, propensity_N = logs[source]
    their_item_N, their_position_N, truth_N, _ = logs[target]
    chance_PA = np.full((3, items), 1 / items)
    if target == "bts":
        count_PA = np.zeros((3, items))
        np.add.at(count_PA, (their_position_N, their_item_N), 1)
        chance_PA = count_PA / count_PA.sum(axis=1, keepdims=True)
    position_NP = np.eye(3)[position_N]
    predicted_NA = cross_fitted(LinearRewards(items, "logistic"), position_NP, item_N, click_N)
    logged = LoggedDecisions.of(
        click_N,
        propensity_N,
        chance_PA[position_N, item_N],
        predicted_N=predicted_NA[np.arange(len(item_N)), item_N],
        expected_N=(chance_PA[position_N] * predicted_NA).sum(axis=1),
    )
    happened = LoggedDecisions.of(truth_N, np.ones(len(truth_N)), np.ones(len(truth_N)))
    truth = evaluate_decisions(happened).logged
    found = evaluate_decisions(logged)
    print(
        f"Open Bandit, {campaign}, {source} → {target}: {truth.value:.5f} on policy, {truth.low:.5f} … {truth.high:.5f}"
    )
    print(found.to_text())
    ends = {each.estimator: [round(end, 6) for end in (each.value, each.low, each.high)] for each in found.estimates}
    return {"on_policy": [round(end, 6) for end in (truth.value, truth.low, truth.high)], **ends}


def file_of(folder: Path, campaign: str) -> Path:
    """Return the file of a policy's rows.

    Raises:
        UserError: there is none.
    """
    files = [folder / campaign / f"{campaign}.csv", folder / f"{campaign}.csv"]
    for file in files:
        if file.is_file():
            return file
    raise UserError(
        f"neither {files[0]} nor {files[1]} is a file: give the folder of the Open Bandit Dataset, which holds random "
        "and bts, or that of its sample, from https://research.zozo.com/data.html."
    )


def rows_of(path: Path) -> tuple[Ints, Ints, Floats, Floats]:
    """Return items, positions from 0, clicks and propensities.

    Raises:
        UserError: a column is missing.
    """
    try:
        table: pa.Table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(include_columns=COLUMNS))
    except KeyError as error:
        raise UserError(
            f"{path} is no file of the Open Bandit Dataset, which has {', '.join(COLUMNS)}: {error}."
        ) from None
    item, position, click, propensity = (table[name].to_numpy() for name in COLUMNS)
    return item, position - 1, click.astype(np.float64), propensity


if __name__ == "__main__":
    main()
