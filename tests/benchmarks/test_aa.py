"""The bench of A/A experiments tells rates of what its tests reject."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.aa import Looks, Simulated, fixed, joined, sequential, told
from tests.benchmarks.running import last_line

from benchmarks import aa
from orita.stats.sequential.mixtures import Mixture


def looks(*means: tuple[float, float], users: float = 500.0) -> Looks:
    """Return one experiment of outcomes of variance 1, whose arms have these means at each look."""
    n_LA = users * np.arange(1, len(means) + 1)[:, None] * np.ones(2)
    mean_LA = np.array(means)
    parts = (n_LA, n_LA * mean_LA, n_LA * (1 + mean_LA**2))
    return Looks(*(part_LA.T[None] for part_LA in parts))


def test_the_last_line_has_every_figure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Rates are shares, and the ratio of CUPED is near 1 with few experiments, too."""
    found = last_line(aa, monkeypatch, capsys, "--experiments", "2", "--seed", "1")
    ratio = found.pop("cuped_ratio")
    assert ratio == pytest.approx(1, abs=0.3)
    assert set(found) == {"false_positive_rate", "fixed_z_rate", "power_at_fixed_n", "power_at_1_7n", "srm_found"}
    assert all(0 <= rate <= 1 for rate in found.values())


def test_what_was_rejected_once_stays_rejected() -> None:
    """A difference of 0.1 of 1,000 users an arm is 2.2 standard errors: a z-test stops there, whatever comes."""
    moved = looks((0.0, 0.0), (0.0, 0.1), (0.0, 0.0))
    assert fixed(moved).tolist() == [[False, True, True]]
    assert sequential(moved, Mixture.for_effect(0.1)).tolist() == [[False, False, False]]
    assert sequential(looks((0.0, 0.0), (0.0, 0.5), (0.0, 0.0)), Mixture.for_effect(0.1)).tolist() == [
        [False, True, True]
    ]


def test_parts_are_joined_and_cut() -> None:
    """The first experiments of all parts are kept, in their order."""
    parts = [Simulated(*[looks((0.0, mean))] * 3) for mean in (0.1, 0.2, 0.3)]
    both = joined(parts, 2).rows
    assert (both.total[:, 1, 0] / both.n[:, 1, 0]).tolist() == [0.1, 0.2]


def test_a_rate_is_told_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A quarter of 100 has a Monte Carlo error of 0.0433."""
    assert told("what", np.arange(100) < 25) == 0.25
    assert capsys.readouterr().out.split()[1:] == ["0.2500", "±", "0.0433"]
