"""Several heads: what they learn from, what a package makes of them, and what weights give up for what."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.clicks import MODEL, SCHEMA, TRAINING, clicks
from tests.models.outcomes import CAP, HEADED, fitted_heads, headed_package, reactions
from tests.models.packaged import fitted, package_of

from orita.core.errors import NotFound, UserError
from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.calibration import Calibration
from orita.models.config import HeadSection
from orita.models.evaluation import evaluate, evaluate_heads, write_evaluation_report
from orita.models.examples import Examples
from orita.models.graph import MODEL_FILE
from orita.models.neural import NeuralRanker
from orita.models.objectives import Head, calibrate_heads, check_objective, heads_for, judge_heads, targets, weigh
from orita.models.package import Package, load_package, write_package
from orita.models.package.load import scores_label
from orita.models.package.manifest import write_manifest
from orita.models.package.quantise import quantise
from orita.models.ranker import FitContext
from orita.models.reissue import reissue_package
from orita.models.training import Learner, Rows
from orita.testing.rankers import check_ranker

CLICK, LIKE, DWELL = Head("click"), Head("like"), Head("dwell", "amount", CAP)
Headed = tuple[Package, NeuralRanker, Examples]


@pytest.fixture(scope="module")
def headed(tmp_path_factory: pytest.TempPathFactory) -> Headed:
    """A package of three heads that weighs them, its ranker, and rows that it did not learn from."""
    return headed_package(tmp_path_factory.mktemp("headed") / "p", click=1.0, like=0.3, dwell=0.02)


@pytest.mark.parametrize("type_", ["two_tower", "deep_mlp", "dcn_v2", "linear"])
def test_every_neural_ranker_keeps_the_contract_with_heads(type_: str, tmp_path: Path) -> None:
    """Scores, seeds, unknown ids and the exported graph hold for each head, as `check_ranker` demands."""
    check_ranker(lambda: build_ranker(type_, HEADED, TRAINING), reactions(500), reactions(300, seed=1), tmp_path)


def test_heads_learn_their_outcomes() -> None:
    """Each head tells its own outcome apart, and a dwell head promises about the seconds that come."""
    ranker, val = fitted_heads("deep_mlp", rows=4000, epochs=6)
    judged = {head.name: head for head in judge_heads(ranker.heads(), ranker.score_heads(val), val)}
    assert all((head.auc or 0) > 0.6 for head in judged.values()), judged
    assert judged["dwell"].promised == pytest.approx(judged["dwell"].observed, rel=0.15)
    assert judged["like"].rows == int(np.isfinite(val.outcomes["like"]).sum()) < len(val)
    weekend = np.nan_to_num(val.x_NF[:, SCHEMA.index("weekend")]) > 0
    p_NH = ranker.score_heads(val)
    like, click = (float(p_NH[weekend, h].mean() / p_NH[~weekend, h].mean()) for h in (1, 0))
    assert like > 1.3 * click, "only likes are more frequent at weekends"


def learner_of(ranker: NeuralRanker, rows: Examples) -> tuple[Learner, Rows]:
    """Return what `NeuralRanker` trains, and its rows, without a training."""
    ranker.fit(rows, rows.take(slice(0, 50)), FitContext(SILENT))
    return ranker._parts()[3], ranker._rows(rows)


@pytest.mark.parametrize("type_", ["two_tower", "deep_mlp", "dcn_v2", "linear"])
def test_a_head_is_moved_by_its_own_outcome_alone(type_: str) -> None:
    """Where only one outcome is known, the biases and outputs of the other heads get no gradient."""
    ranker = build_ranker(type_, HEADED, TRAINING.model_copy(update={"epochs": 1}))
    assert isinstance(ranker, NeuralRanker)
    learner, rows = learner_of(ranker, reactions(300))
    learner.network.eval()
    tables = ((learner.users, rows.users_N), (learner.items, rows.items_N))
    ids = [table.table_VE.index_select(0, rows_N) for table, rows_N in tables]
    for head in range(3):
        only_NH = torch.full_like(rows.y_NH, torch.nan)
        only_NH[:, head] = rows.y_NH[:, head]
        logits_NH = learner.network(*ids, rows.dense_ND, rows.categories_NC)
        (gradient_H,) = torch.autograd.grad(learner._loss(logits_NH, only_NH), [learner.network.bias])
        assert [bool(g != 0) for g in gradient_H] == [h == head for h in range(3)]


def test_an_unknown_outcome_is_no_zero() -> None:
    """A row that does not say an outcome changes nothing of its head: its loss is that of the other rows alone."""
    ranker = build_ranker("linear", HEADED, TRAINING.model_copy(update={"epochs": 1}))
    assert isinstance(ranker, NeuralRanker)
    learner, rows = learner_of(ranker, reactions(200))
    logits_NH = torch.zeros_like(rows.y_NH)
    known_NH = ~torch.isnan(rows.y_NH)
    assert 0 < int((~known_NH).sum()) < 200
    whole = learner._loss(logits_NH, rows.y_NH)
    expected = np.log(2) * float((known_NH * torch.tensor([1.0, 0.5, 1.0])).sum())
    assert float(whole) == pytest.approx(expected, rel=1e-5)


def test_weights_of_losses_weigh() -> None:
    """The weight of a head in training is the factor of its loss: with all weight on likes, likes are learned best."""
    losses = {}
    for weight in (0.001, 100.0):
        model = HEADED.model_copy(update={"heads": {"like": HeadSection(weight=weight)}})
        ranker = build_ranker("deep_mlp", model, TRAINING.model_copy(update={"epochs": 2}))
        report = ranker.fit(reactions(1500), reactions(500, seed=1), FitContext(SILENT))
        losses[weight] = report.history[-1]["val_loss_like"]
    assert losses[100.0] < losses[0.001]


def test_outcomes_that_teach_nothing_are_left_out_with_a_reason() -> None:
    """An outcome without a value, or only of zeros, has no head, and the report of the fit says why."""
    rows = reactions(300)
    more = {"share": np.full(300, np.nan, np.float32), "hide": np.zeros(300, np.float32)}
    sections = {"share": HeadSection(), "hide": HeadSection(), "like": HeadSection(), "click": HeadSection(weight=2)}
    rows = replace(rows, outcomes={**rows.outcomes, **more})
    model = MODEL.model_copy(update={"heads": sections})
    ranker = build_ranker("linear", model, TRAINING.model_copy(update={"epochs": 1}))
    report = ranker.fit(rows, rows, FitContext(SILENT))
    assert isinstance(ranker, NeuralRanker)
    assert [head.name for head in ranker.heads()] == ["click", "like"]
    assert report.params["heads_left_out"] == {
        "share": "no training row says it",
        "hide": "it is 0 in all training rows",
    }
    weighed = build_ranker("linear", model.model_copy(update={"objective": {"share": 1.0}}), TRAINING)
    with pytest.raises(UserError, match=r"model.objective weighs 'share', which can have no head: no training row"):
        weighed.fit(rows, rows, FitContext(SILENT))
    weighed = build_ranker("linear", model.model_copy(update={"objective": {"lke": 1.0}}), TRAINING)
    with pytest.raises(NotFound, match=r"model.objective weighs 'lke', which is no head.*Did you mean 'like'"):
        weighed.fit(rows, rows, FitContext(SILENT))


def test_heads_that_cannot_be_are_refused() -> None:
    """A head that no row knows, an outcome below 0, and a type with one head are each one sentence."""
    rows = reactions(100)
    with pytest.raises(NotFound, match=r"names 'lke'.*Did you mean 'like'"):
        heads_for(rows, {"lke": HeadSection()})
    below = replace(rows, outcomes={"dwell": rows.outcomes["dwell"] - 50})
    with pytest.raises(UserError, match=r"outcome 'dwell' has the value -4\d.*, allowed is 0 or more"):
        heads_for(below, {"dwell": HeadSection()})
    with pytest.raises(UserError, match=r"'lightgbm' has one head: choose among two_tower"):
        build_ranker("lightgbm", HEADED, TRAINING)


def test_amounts_are_learned_as_shares_of_their_cap() -> None:
    """More than the cap counts as the cap; without one it is the largest amount of the training rows."""
    rows = reactions(100)
    (_, free), _ = heads_for(rows, {"dwell": HeadSection()})
    assert (free.kind, free.cap) == ("amount", float(rows.outcomes["dwell"].max()))
    shares_NH = targets(rows, [CLICK, Head("dwell", "amount", 10.0), LIKE, Head("nothing")])
    assert shares_NH[:, 1] == pytest.approx(np.minimum(rows.outcomes["dwell"] / 10, 1))
    assert np.array_equal(np.isnan(shares_NH[:, 2]), np.isnan(rows.outcomes["like"]))
    assert np.isnan(shares_NH[:, 3]).all()
    endless = replace(rows, outcomes={"dwell": np.full(100, np.inf, np.float32)})
    assert np.isnan(targets(endless, [DWELL])).all(), "no number is not known, as for the choice of heads"


def test_without_outcomes_a_ranker_is_as_it_was() -> None:
    """Outcomes in the rows change nothing of a model that has no heads for them: the same bytes."""
    scores = []
    for train in (reactions(400), replace(reactions(400), outcomes={})):
        ranker = build_ranker("two_tower", MODEL, TRAINING.model_copy(update={"epochs": 1}))
        ranker.fit(train, train.take(slice(0, 100)), FitContext(SILENT))
        scores.append(ranker.score(clicks(200, seed=4)).tobytes())
    assert scores[0] == scores[1]


def test_the_score_orders_rows_by_what_they_are_worth() -> None:
    """The score is the worth of a row brought to [0, 1]: same order, ends included, also with a negative weight."""
    random = np.random.default_rng(0)
    p_NH = random.random((500, 3)).astype(np.float32)
    weights = {"click": 1.0, "like": -2.0, "dwell": 0.05}
    worth_N = p_NH @ np.array([1.0, -2.0, 0.05 * CAP])
    scores_N = weigh((CLICK, LIKE, DWELL), weights, p_NH)
    assert scores_N.dtype == np.float32
    assert scores_N == pytest.approx((worth_N + 2) / (1 + 2 + 0.05 * CAP), abs=1e-6)
    corners = weigh((CLICK, LIKE, DWELL), weights, np.array([[0, 1, 0], [1, 0, 1]], np.float32))
    assert corners.tolist() == [0.0, 1.0]


def test_one_weight_is_that_head_itself() -> None:
    """With all weight on one head the score is the calibrated output of that head, to the last bit."""
    p_NH = np.random.default_rng(0).random((200, 2)).astype(np.float32)
    bent = replace(LIKE, calibration=Calibration("platt", slope=0.5, offset=-1.0))
    assert np.array_equal(weigh((CLICK, bent), {"click": 3.0}, p_NH), p_NH[:, 0])
    assert np.array_equal(weigh((CLICK, bent), {"like": 0.2}, p_NH), bent.calibration.apply(p_NH[:, 1]))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"lkie": 1.0}, "weighs 'lkie', which is no head of the model. Did you mean 'like'"),
        ({"like": float("nan")}, "gives 'like' the weight nan"),
        ({"like": 1e12}, "allowed is a number from -1e9 to 1e9"),
        ({"like": True}, "gives 'like' the weight True"),
        ({"click": 0.0}, "give at least one of click, like a weight other than 0"),
        ({}, "give at least one of click, like a weight other than 0"),
    ],
)
def test_weights_that_make_no_score_are_refused(weights: dict[str, float], sentence: str) -> None:
    """Unknown heads, numbers that are none, and no weight at all are refused by name."""
    with pytest.raises(UserError, match=sentence):
        check_objective(weights, (CLICK, LIKE))


@pytest.mark.parametrize(("weight", "cap", "worth"), [(1e-300, 1e-300, "0"), (1e9, 1e308, "inf")])
def test_weights_that_are_nothing_or_endless_with_their_cap_are_refused(weight: float, cap: float, worth: str) -> None:
    """A package whose worth is 0 or without end would score by a division by 0, or with no numbers."""
    with pytest.raises(UserError, match=f"make {worth} of the greatest worth"):
        check_objective({"dwell": weight}, (CLICK, Head("dwell", "amount", cap)))


def test_a_head_that_cannot_be_calibrated_is_named() -> None:
    """Platt's method on a head that ranks backwards says which head; a flag that is a share of 1 is calibrated."""
    ranker, val = fitted_heads(rows=300)
    like_N = ranker.score_heads(val)[:, 1]
    backwards = replace(val, outcomes={"like": (like_N < np.median(like_N)).astype(np.float32)})
    with pytest.raises(UserError, match=r"the head 'like' cannot be calibrated: platt found the slope -"):
        calibrate_heads("platt", ranker, backwards)
    halves_N = np.where(val.outcomes["like"] == 1, np.float32(0.5), val.outcomes["like"])
    found = calibrate_heads("isotonic", ranker, replace(val, outcomes={"like": halves_N}))
    assert isinstance(found, dict)
    assert found["like"].method == "isotonic"


def test_a_package_weighs_its_calibrated_heads(headed: Headed) -> None:
    """A package scores by its declared objective, by other weights for one call, and by each head alone."""
    package, ranker, val = headed
    rows = (val.users_N, val.items_N, val.x_NF)
    assert json.loads((package.folder / "package.json").read_text())["format"] == 3
    assert [head.calibration.method for head in package.heads] == ["isotonic"] * 3
    raw_NH, p_NH = ranker.score_heads(val), package.score_heads(*rows)
    for h, head in enumerate(package.heads):
        assert p_NH[:, h] == pytest.approx(head.calibration.apply(raw_NH[:, h]), abs=1e-4)
        assert package.score(*rows, {head.name: 1.0}) == pytest.approx(p_NH[:, h])
    expected_N = (p_NH[:, 0] + 0.3 * p_NH[:, 1] + 0.02 * CAP * p_NH[:, 2]) / (1.3 + 0.02 * CAP)
    assert package.score(*rows) == pytest.approx(expected_N, abs=1e-6)
    assert package.label_objective == {"click": 1.0}
    user = int(val.users_N[0])
    alone = package.score_user(user, val.items_N[:1], val.x_NF[:1], {"dwell": 1.0})
    assert alone == pytest.approx(p_NH[:1, 2], abs=1e-5)
    with pytest.raises(NotFound, match="weighs 'shares'"):
        package.score(*rows, {"shares": 1.0})
    assert "| dwell | amount | 120 | isotonic | 0.02 |" in (package.folder / "model_card.md").read_text()
    assert len(package.score(val.users_N[:0], val.items_N[:0], val.x_NF[:0])) == 0


def test_without_an_objective_the_score_is_the_label(tmp_path: Path) -> None:
    """A package with heads that declares no weights scores as the ranker does: the chance of the label."""
    package, ranker, val = headed_package(tmp_path / "p", "none")
    assert package.description.objective == {"click": 1.0}
    assert scores_label(package.folder)
    assert package.score(val.users_N, val.items_N, val.x_NF) == pytest.approx(ranker.score(val), abs=1e-5)


def test_a_package_with_one_head_is_as_before(tmp_path: Path) -> None:
    """One head stays in format 2 with its keys, and weights for it are refused."""
    ranker, rows = fitted("linear")
    package = package_of(tmp_path / "p", ranker, rows)
    content = json.loads((tmp_path / "p" / "package.json").read_text())
    assert (content["format"], set(content)) == (2, {"format", "graphs", "pre", "post", "card", "extra"})
    assert (package.heads, package.label_objective) == ((), None)
    assert scores_label(package.folder)
    with pytest.raises(UserError, match="one head, so there is nothing to weigh"):
        package.score(rows.users_N, rows.items_N, rows.x_NF, {"click": 1.0})
    with pytest.raises(UserError, match="one head: use score"):
        package.score_heads(rows.users_N, rows.items_N, rows.x_NF)
    with pytest.raises(UserError, match=r"one head.*train one with model.heads"):
        write_package(tmp_path / "q", ranker, package.metadata, SCHEMA, rows, objective={"click": 1.0, "like": 1.0})


def test_another_objective_keeps_the_graph(headed: Headed, tmp_path: Path) -> None:
    """Issued under other weights, a package has the very graph and ids of before, and scores by the new weights."""
    package, _, val = headed
    (tmp_path / "new").mkdir()
    card = replace(package.metadata, model_version="v1.3.0")
    reissue_package(package, tmp_path / "new", card, objective={"like": 2.0})
    new = load_package(tmp_path / "new")
    for name in (MODEL_FILE, "users.parquet", "items.parquet", "weights.safetensors"):
        assert (tmp_path / "new" / name).read_bytes() == (package.folder / name).read_bytes()
    new.check_sample()
    rows = (val.users_N, val.items_N, val.x_NF)
    assert np.array_equal(new.score(*rows), package.score(*rows, {"like": 2.0}))
    assert new.description.objective == {"like": 2.0}
    assert not scores_label(new.folder)
    with pytest.raises(NotFound, match="weighs 'lkie'"):
        reissue_package(package, tmp_path / "new", card, objective={"lkie": 2.0})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"objective": {"like": float(10**10)}}, "allowed is a number from -1e9 to 1e9"),
        ({"objective": {"nothing": 1.0}}, "which is no head of the model"),
        ({"objective": [1.0]}, "expected weights by head"),
        ({"heads": "cut"}, "expected a list of 2 to 32"),
        ({"heads": "twice"}, "two heads of one name"),
        ({"heads": "third", "objective": {"like": 1.0}}, r"expected 'heads' as float32 of 2 columns"),
        ({"heads": "cap"}, "a cap over 0"),
        ({"format": 2}, "missing or unknown keys"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    change: dict[str, object], sentence: str, headed: Headed, tmp_path: Path
) -> None:
    """Heads and weights that a graph does not have, or that cannot be, are refused when the package is loaded."""
    shutil.copytree(headed[0].folder, tmp_path / "p")
    file = tmp_path / "p" / "package.json"
    content = json.loads(file.read_text())
    heads = content["heads"]
    capless = [heads[0], {**heads[2], "cap": 0}]
    broken = {"cut": heads[:1], "twice": [*heads, heads[0]], "third": heads[:2], "cap": capless}
    content |= {name: broken.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
    file.write_text(json.dumps(content, sort_keys=True))
    write_manifest(tmp_path / "p")
    with pytest.raises(UserError, match=sentence):
        load_package(tmp_path / "p")


def test_int8_weights_keep_every_head(headed: Headed, tmp_path: Path) -> None:
    """A package with heads can have int8 weights; the difference that its card tells is that of any head."""
    package, _, val = headed
    small = quantise(package.folder, tmp_path / "q", val, max_auc_loss=0.1)
    rows = (val.users_N, val.items_N, val.x_NF)
    difference = float(np.abs(small.score_heads(*rows) - package.score_heads(*rows)).max())
    assert small.description.card["quantisation"]["largest_difference"] == pytest.approx(difference)
    assert small.description.objective == package.description.objective


def test_the_report_draws_the_trade_off(headed: Headed, tmp_path: Path) -> None:
    """The page of a model with heads has their figures, a curve for each pair, and the declared objective on it."""
    package, _, val = headed
    found = evaluate_heads(package, val)
    assert found is not None
    assert json.loads(json.dumps(found.to_dict()))["trade_offs"][0]["points"][-1]["declared"] is True
    scores_N = package.score(val.users_N, val.items_N, val.x_NF, package.label_objective)
    page = tmp_path / "report.html"
    write_evaluation_report(page, evaluate(scores_N, val), val, scores_N, title="heads", heads=found)
    text = page.read_text()
    assert "The served score is 1 × click, 0.3 × like, 0.02 × dwell" in text
    for pair in ("click against like", "click against dwell", "like against dwell", "declared objective"):
        assert pair in text


def test_one_head_has_no_trade_off(tmp_path: Path) -> None:
    """A model with one head has nothing to weigh, and no such section."""
    ranker, rows = fitted("linear")
    assert evaluate_heads(package_of(tmp_path / "p", ranker, rows), rows) is None
