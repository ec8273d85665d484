"""All who read one log come to one state: workers, restarts from a snapshot, and those that read from the beginning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.delivery.bandits.logged import Logged, choice, rewards, traffic

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.delivery.bandits import Bandit
from orita.delivery.bandits.choices import logged_choices
from orita.delivery.bandits.learner import Learner
from orita.delivery.bandits.ledger import Ledger
from orita.delivery.bandits.records import KEY, PARTITION, STREAM, batch_of, records_in
from orita.delivery.bandits.snapshots import read_snapshot, snapshot_file, write_snapshot
from orita.delivery.ope import evaluate
from orita.events.log.kafka_rows import decode_messages, encode_messages
from orita.events.log.log import Batch

TITLE = "{key: title, policy: {type: bernoulli_thompson}, arms: [a, b, c]%s}"
LAYOUT = "{key: layout, policy: {type: linear_thompson}, features: [x, y], arms: [a, b, c], unrewarded: 0.1}"
BOTH = f"bandits: [{TITLE % ''}, {LAYOUT}]"


@pytest.fixture
def logged(tmp_path: Any) -> Logged:
    """A home with two bandits and an empty log."""
    return Logged(Home(tmp_path / "home"), BOTH)


def known(learner: Learner) -> dict[str, Any]:
    """Return what was learnt, comparable."""
    return {
        key: (
            {name: np.round(sums, 9).tolist() for name, sums in ledger.bandit.statistics.sums().items()},
            ledger.ignored,
            list(ledger.open),
            {arm: (each.picked, each.rewarded) for arm, each in ledger.arms.items()},
        )
        for key, ledger in learner.ledgers.items()
    }


def two_bandits(logged: Logged, count: int = 60) -> None:
    """Log what both were asked and told, mixed."""
    records = [traffic(logged.of(key), count, seed) for seed, key in enumerate(("title", "layout"))]
    logged.append([record for pair in zip(*records, strict=False) for record in pair], each_seconds=1)


def test_a_start_from_a_snapshot_is_a_start_from_the_beginning(logged: Logged) -> None:
    """A snapshot in the middle and what came after amount to all of it."""
    two_bandits(logged)
    first = logged.learner()
    first.write()
    two_bandits(logged)
    first.look()
    second = logged.learner()
    assert 0 < read_snapshot(snapshot_file(logged.home)).next < second.next
    snapshot_file(logged.home).unlink()
    third = logged.learner()
    assert known(first) == known(second) == known(third)
    assert known(first)["title"][3]


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 100])
def test_a_damaged_snapshot_is_read_past(logged: Logged, content: bytes) -> None:
    """The log has everything, so nothing is lost with it."""
    two_bandits(logged, 10)
    first = logged.learner()
    first.write()
    snapshot_file(logged.home).write_bytes(content)
    assert known(logged.learner()) == known(first)


def test_a_snapshot_of_another_log_is_not_taken(logged: Logged, tmp_path: Any) -> None:
    """One that knows more than the log has is of a log that is gone."""
    two_bandits(logged, 10)
    logged.learner().write()
    other = Logged(Home(tmp_path / "other"), BOTH)
    target = snapshot_file(other.home)
    target.parent.mkdir(parents=True)
    target.write_bytes(snapshot_file(logged.home).read_bytes())
    assert other.learner().next == 0


def test_workers_that_share_a_log_know_what_one_would(logged: Logged) -> None:
    """Rewards that two workers took, one of them of the other's choice, one told to both, amount to what one knows."""
    declared = logged.of("title")
    one, two = logged.learner(), logged.learner()
    made = [choice(declared, "a"), choice(declared, "b"), choice(declared, "c")]
    logged.append(made[:1])
    one.look()
    logged.append([*made[1:], rewards(made[0], [1.0])])
    two.look()
    logged.append([rewards(made[1], [1.0]), rewards(made[1], [1.0]), rewards(made[0], [0.0])])
    for each in (one, two):
        each.look()
    alone = Bandit(declared.policy, declared.arms)
    alone.update_many(["a", "b"], [1.0, 1.0])
    for each in (one, two):
        assert each.served is not None
        chances = each.served["title"].chances()
        assert list(chances.values()) == pytest.approx(alone.probabilities().values)
        assert each.ledgers["title"].ignored == {"no_open_choice": 2}


def test_the_merger_of_two_parts_is_the_whole(logged: Logged) -> None:
    """Where two logs cannot be one, their bandits merge to what one log would have taught."""
    declared = logged.of("layout")
    parts = [[(0, each) for each in traffic(declared, 40, seed)] for seed in (1, 2)]
    ledgers = [Ledger(declared) for _ in range(3)]
    for ledger, records in zip(ledgers, [*parts, parts[0] + parts[1]], strict=True):
        ledger.fold(records)
    merged = ledgers[0].bandit.merge(ledgers[1].bandit)
    for name, sums in ledgers[2].bandit.statistics.sums().items():
        np.testing.assert_allclose(merged.statistics.sums()[name], sums, rtol=1e-9)


def test_what_is_given_out_is_replaced_not_changed(logged: Logged) -> None:
    """Who holds a bandit picks by what was known then; a look without news gives out the same one."""
    learner = logged.learner()
    assert learner.served is not None
    before = learner.served["title"]
    learner.look()
    assert learner.served["title"] is before
    made = choice(logged.of("title"), "a")
    logged.append([made, *[rewards(made, [1.0])]])
    learner.look()
    assert before.version == 0
    assert before.chances()["a"] == pytest.approx(1 / 3)
    assert learner.served["title"].version == 2
    assert learner.served["title"].chances()["a"] > 0.4


def test_declarations_are_followed(logged: Logged) -> None:
    """Another prior keeps what was learnt, another discount begins anew, back again is what it was; removed is gone."""
    two_bandits(logged)
    learner = logged.learner()
    before = known(learner)["title"]
    logged.declare(f"bandits: [{TITLE % ''}]".replace("thompson}", "thompson, failures: 9}"))
    learner.look()
    assert known(learner)["title"] == before
    assert learner.served is not None
    assert learner.served.keys() == {"title"}
    logged.declare(f"bandits: [{TITLE % ', wait_seconds: 500'}]")
    learner.look()
    assert known(learner)["title"][3] == {}
    logged.declare(BOTH)
    learner.look()
    assert known(learner) == known(logged.learner())
    assert known(learner)["title"] == before


def test_a_look_that_fails_counts_nothing_half(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure in the middle of a piece the next look counts each record once; picks go on meanwhile."""
    learner = logged.learner()
    two_bandits(logged)
    fold, calls = Ledger.fold, iter(range(100))

    def failing(ledger: Ledger, records: Any) -> None:
        fold(ledger, records)
        if next(calls) == 1:
            raise OSError("no more")

    monkeypatch.setattr(Ledger, "fold", failing)
    with pytest.raises(OSError, match="no more"):
        learner.look()
    assert learner.served is not None
    assert learner.served.keys() == {"title", "layout"}
    learner.look()
    assert known(learner) == known(logged.learner())


def test_a_look_that_is_ended_gives_out_nothing_half(logged: Logged) -> None:
    """A stop in the middle of a start leaves no bandit that knows only part."""
    two_bandits(logged)
    logged.learner().write()
    logged.declare(f"bandits: [{TITLE % ', wait_seconds: 500'}]")
    ended = logged.learner(goes_on=lambda: False)
    assert ended.served is None
    assert not ended.ledgers


def test_old_records_go_once_a_snapshot_has_them(tmp_path: Any) -> None:
    """Retention deletes what is old and written down; who starts later knows all the same."""
    logged = Logged(Home(tmp_path / "home"), BOTH)
    declared = logged.of("title")
    made = choice(declared, "a")
    logged.append([made, rewards(made, [1.0])])
    logged.clock.advance(timedelta(days=9))
    learner = logged.learner(retention=timedelta(days=3))
    assert logged.log.start(STREAM, PARTITION) == 0
    learner.write()
    assert logged.log.start(STREAM, PARTITION) == 2
    assert known(logged.learner()) == known(learner)
    late = choice(declared, "b")
    logged.append([late])
    assert list(logged.learner().ledgers["title"].open) == [made.decision, late.decision][1:]


def test_nothing_is_made_by_looking(tmp_path: Any) -> None:
    """Without a bandit, and without a choice, there is no log and no snapshot."""
    home = Home(tmp_path / "home")
    logged = Logged(home, "bandits: []")
    learner = logged.learner()
    learner.write()
    assert learner.served == {}
    assert not snapshot_file(home).exists()


def test_contexts_and_arms_are_checked(logged: Logged) -> None:
    """Unknown, missing and infinite features, unknown arms, arms twice, too many: a sentence each."""
    served = logged.learner().served
    assert served is not None
    layout, title, rng = served["layout"], served["title"], np.random.default_rng(0)
    assert layout.context({"y": 2, "x": 1}).tolist() == [1, 2]  # type: ignore[union-attr]
    for given, sentence in (
        ({"x": 1.0}, "lacks the feature 'y'"),
        ({"x": 1.0, "z": 1.0}, "unknown feature 'z'"),
        ({"x": 1.0, "y": np.inf}, "inf for the feature 'y'"),
        ({"x": np.nan, "y": 1.0}, "nan for the feature 'x'"),
        ({"x": 1.0, "y": -1.1e6}, "-1100000.0 for the feature 'y': give a number from -1,000,000 to 1,000,000"),
    ):
        with pytest.raises(UserError, match=sentence):
            layout.context(given)
    with pytest.raises(UserError, match="takes no context"):
        title.context({"x": 1})
    with pytest.raises(NotFound, match="arms has 'd'"):
        title.slate(rng, among=["d"])
    with pytest.raises(UserError, match="'a' twice"):
        title.slate(rng, 2, among=["a", "a"])
    with pytest.raises(UserError, match="k 4"):
        title.slate(rng, 4)
    logged.declare(f"bandits: [{LAYOUT.replace('unrewarded: 0.1', 'missing: zero')}]")
    served = logged.learner().served
    assert served is not None
    assert served["layout"].context({"y": 2}).tolist() == [0, 2]  # type: ignore[union-attr]


def test_a_choice_among_some_has_their_probabilities(logged: Logged) -> None:
    """Of 300 picks among two of three arms the share of each is its propensity, within 4.5 standard errors."""
    declared = logged.of("title")
    made = [choice(declared, arm) for arm in "aaabbbccc"]
    told = [rewards(each, [value]) for each, value in zip(made, [1, 1, 0, 1, 0, 0, 0, 0, 0.5], strict=True)]
    logged.append([*made, *told])
    served = logged.learner().served
    assert served is not None
    rng = np.random.default_rng(5)
    for among in (["a", "b"], ["c", "a"], None):
        slates = [served["title"].slate(rng, among=among) for _ in range(300)]
        share = np.mean([slate.arms[0] == "a" for slate in slates])
        chance = next(float(slate.propensities_K[0]) for slate in slates if slate.arms[0] == "a")
        assert abs(share - chance) < 4.5 * np.sqrt(chance * (1 - chance) / 300)


def test_choices_joined_with_rewards_can_be_evaluated(logged: Logged) -> None:
    """A row an arm, its first reward in time; a policy that always shows `b` is worth b's mean by every estimator."""
    logged.declare(f"bandits: [{TITLE % ', wait_seconds: 100'}]")
    declared, rng = logged.of("title"), np.random.default_rng(3)
    made = [choice(declared, "abc"[rng.integers(3)], unit=str(number)) for number in range(900)]
    logged.append(made)
    logged.append([rewards(each, [float(each.arms == ["b"])]) for each in made[:-10]])
    logged.append([rewards(made[0], [0.7])])
    logged.clock.advance(timedelta(seconds=101))
    logged.append([rewards(made[-1], [1.0]), choice(declared, "a", "b")])
    rows = logged_choices(logged.log, declared)
    assert rows.num_rows == 902
    assert rows["reward"].null_count == 12
    assert rows["position"].to_pylist()[-2:] == [1, 2]
    closed = logged_choices(logged.log, declared, unrewarded=0.0)
    assert closed["reward"].null_count == 2  # of the choice that waits still
    done = closed.slice(0, 900)
    found = evaluate(done, target=lambda table: [float(arm == "b") for arm in table["arm"].to_pylist()], unit="unit")
    shown = [row for row in done.to_pylist() if row["arm"] == "b"]
    truth = sum(row["reward"] for row in shown) / len(shown)
    assert found["snips"].value == pytest.approx(truth)
    at = logged.clock.now()
    assert logged_choices(logged.log, declared, start=at).num_rows == 0


def test_what_is_exported_is_what_was_counted(logged: Logged) -> None:
    """With silence, choices closed early, contexts out of range and rewards again: means are the bandit's own."""
    logged.declare(f"bandits: [{LAYOUT.replace('0.1', '0.1, wait_seconds: 40, most_open: 20')}]")
    declared = logged.of("layout")
    poisoned = choice(declared, "a", context=[1e200, 1.0])
    logged.append([poisoned, rewards(poisoned, [1.0]), *traffic(declared, 80, 5)], each_seconds=1)
    ledger = logged.learner().ledgers["layout"]
    rows = logged_choices(logged.log, declared).to_pylist()
    assert ledger.choices.early > 0
    assert ledger.ignored["context_out_of_range"] >= 1
    counted = {arm: (each.picked, each.rewarded, each.total) for arm, each in ledger.arms.items()}
    for arm, (picked, rewarded, total) in counted.items():
        own = [row["reward"] for row in rows if row["arm"] == arm]
        found = [reward for reward in own if reward is not None]
        assert (len(own), len(found), sum(found)) == (picked, rewarded, pytest.approx(total))
    silent = [row for row in rows if row["reward"] is not None and row["rewarded_at"] is None]
    assert {row["reward"] for row in silent} == {0.1}
    assert rows[0]["reward"] is None


def test_choices_of_some_time_are_those_of_all(logged: Logged) -> None:
    """Choices from a time up to another, with the rewards that came later."""
    declared = logged.of("title")
    made = [msgspec.structs.replace(choice(declared, "a", "b"), at=second * 1_000_000) for second in range(10)]
    logged.append([*made, *[rewards(each, [1.0]) for each in made]])
    rows = logged_choices(logged.log, declared).to_pylist()
    start, end = (datetime.fromtimestamp(second, UTC) for second in (3, 7))
    found = logged_choices(logged.log, declared, start=start, end=end)
    assert found.to_pylist() == rows[6:14]
    assert found["reward"].to_pylist() == [1.0, None] * 4


def test_a_snapshot_that_an_extreme_context_spoilt_is_not_taken(logged: Logged) -> None:
    """What was learnt before contexts had bounds is learnt again from the log, which passes over what is too large."""
    declared = logged.of("layout")
    spoilt = [choice(declared, arm, context=[1e200, 1.0]) for arm in "abc"]
    logged.append([record for made in spoilt for record in (made, rewards(made, [0.0]))])
    learner = logged.learner()
    learner.write()
    file = snapshot_file(logged.home)
    write_snapshot(file, msgspec.structs.replace(read_snapshot(file), format=1))
    assert read_snapshot(file).next == 0
    clean = [choice(declared, "abc"[number % 3], context=[1.0, number % 2]) for number in range(300)]
    told = [rewards(each, [float(each.arms == ["a"])]) for each in clean]
    logged.append([record for pair in zip(clean, told, strict=True) for record in pair])
    logged.clock.advance(timedelta(days=1, seconds=1))
    logged.append([choice(declared, "a", context=[1.0, 0.0])])
    served = logged.learner().served
    assert served is not None
    assert served["layout"].chances(np.array([1.0, 0.0]))["a"] > 0.99


def test_records_are_the_same_after_kafka(logged: Logged) -> None:
    """The form in which Kafka holds them gives rows back exactly, so replicas that share topics learn the same."""
    records = [record for key in ("title", "layout") for record in traffic(logged.of(key), 20, 1)]
    batch = batch_of(records)
    assert decode_messages([value for _, value in encode_messages(batch, KEY)], batch.schema).equals(batch)
    logged.append(records)
    read = logged.log.read(STREAM, PARTITION, 0, 1_000)
    assert [record for _, record in records_in(read)] == records


def test_the_log_of_others_is_passed_over(logged: Logged) -> None:
    """Records of a bandit that is not declared are skipped, and read once it is."""
    two_bandits(logged)
    logged.declare(f"bandits: [{TITLE % ''}]")
    learner = logged.learner()
    assert learner.ledgers.keys() == {"title"}
    logged.declare(BOTH)
    learner.look()
    assert known(learner) == known(logged.learner())
    assert isinstance(logged.log.read(STREAM, PARTITION, 0, 5), Batch)
