"""The bench on the Open Bandit Dataset: both directions beside what happened, from either layout of its folders."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.running import last_line

from benchmarks import ope_bandit
from orita.delivery.ope import ESTIMATORS


def written(folder: Path, *, nested: bool = True) -> Path:
    """Write a campaign of four items: random is even, the other policy shows the best one in seven of ten."""
    for name, chance_A in (("random", np.full(4, 0.25)), ("bts", np.array([0.1, 0.1, 0.1, 0.7]))):
        random = np.random.default_rng(len(name))
        item = random.choice(4, size=2000, p=chance_A)
        click = random.random(2000) < np.array([0.1, 0.1, 0.1, 0.5])[item]
        place = folder / name / "men" if nested else folder / name
        place.mkdir(parents=True)
        rows = zip(item, random.integers(1, 4, 2000), click.astype(int), chance_A[item], strict=True)
        lines = [f"{n},{','.join(map(str, row))}" for n, row in enumerate(rows)]
        (place / "men.csv").write_text("\n".join([",item_id,position,click,propensity_score", *lines, ""]))
    return folder


@pytest.mark.parametrize("nested", [True, False])
def test_all_estimators_stand_beside_what_happened(
    nested: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each direction and estimator value, low and high, within two half-widths of what the other policy earns."""
    found = last_line(ope_bandit, monkeypatch, capsys, str(written(tmp_path, nested=nested)))
    assert set(found) == {"random_to_bts", "bts_to_random"}
    for told, truth in (("random_to_bts", 0.38), ("bts_to_random", 0.2)):
        assert set(found[told]) == {"on_policy", *ESTIMATORS}
        for name in ("on_policy", "ips", "snips", "dr"):
            value, low, high = found[told][name]
            assert low < value < high
            assert abs(value - truth) < high - low, (told, name)


def test_the_table_names_the_campaign_and_the_direction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each direction has a heading with what was earned on policy, and a line an estimator."""
    ope_bandit.open_bandit(written(tmp_path))
    told = capsys.readouterr().out
    assert "Open Bandit, men, random → bts: 0.3" in told and "Open Bandit, men, bts → random: 0.2" in told
    assert all(f"\n{name} " in told for name in ESTIMATORS)


def test_another_folder_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with what was looked for and where to get it; a file of other columns is named."""
    for words in ("give the folder of the Open Bandit Dataset", "is no file of the Open Bandit Dataset"):
        monkeypatch.setattr(sys, "argv", ["ope_bandit", str(tmp_path)])
        with pytest.raises(SystemExit, match="2"):
            ope_bandit.main()
        assert words in capsys.readouterr().err
        (tmp_path / "random").mkdir(exist_ok=True)
        (tmp_path / "random" / "men.csv").write_text("item,click\n1,0\n")
