"""The model card: what a model is for, how good it is and for whom, on one page.

The headings are those of Mitchell et al., "Model Cards for Model Reporting" (2019). Figures come from the evaluation,
the rest of the facts from the package; what only people know comes from a YAML file (`CardText`). What nobody said is
shown as not stated: a card with gaps is honest, a card that hides them is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from orita.core.config import Section, load
from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.metadata import ModelMetadata
from orita.models.package.description import Description

__all__ = ["CardText", "evaluation_facts", "render_card"]

_NOT_STATED = "*Not stated{}.*"
_FILLED_BY = {
    "Intended use": "intended_use",
    "Factors": "factors",
    "Evaluation data": "evaluation_data",
    "Training data": "training_data",
    "Ethical considerations": "ethical_considerations",
    "Caveats and recommendations": "caveats",
}
"""The key of `CardText` that fills a section which nothing else fills."""
_MOST_SLICES = 40
_INT8 = "**Weights as int8**, against the same model before, of which the other figures on this card are.\n\n"


class CardText(Section):
    """What people say about a model; every key is optional.

    Attributes:
        description: what the model does, in a few sentences.
        owner: person or team.
        contact: where to ask.
        license: of the model.
        intended_use: what it is for.
        intended_users: who should use it.
        out_of_scope: what it must not be used for.
        factors: groups, instruments, environments in which it may behave otherwise.
        training_data, evaluation_data: where the rows came from, and what is wrong with them.
        ethical_considerations: risks to people, and what was done about them.
        caveats: what else one must know, and recommendations.
    """

    description: str = Field("", max_length=20_000)
    owner: str = Field("", max_length=200)
    contact: str = Field("", max_length=200)
    license: str = Field("", max_length=200)
    intended_use: str = Field("", max_length=20_000)
    intended_users: str = Field("", max_length=20_000)
    out_of_scope: str = Field("", max_length=20_000)
    factors: str = Field("", max_length=20_000)
    training_data: str = Field("", max_length=20_000)
    evaluation_data: str = Field("", max_length=20_000)
    ethical_considerations: str = Field("", max_length=20_000)
    caveats: str = Field("", max_length=20_000)

    @classmethod
    def read(cls, file: Path) -> CardText:
        """Read the text of a card from a YAML file.

        Raises:
            UserError: it is missing, or has a key that a card has not; the sentence names the nearest one.
        """
        if not file.is_file():
            raise UserError(f"{file} is not a file; give a YAML file with keys such as {', '.join(cls.model_fields)}.")
        return load(cls, file, environment={}).value


def evaluation_facts(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card keeps of ``Evaluation.to_dict()``: figures, intervals, and the largest slices."""
    slices = sorted(evaluation.get("slices", ()), key=lambda each: -each["rows"])[:_MOST_SLICES]
    kept = {key: evaluation[key] for key in ("rows", "positives", "metrics", "intervals") if key in evaluation}
    return {**kept, "slices": [{key: each[key] for key in ("name", "value", "rows", "metrics")} for each in slices]}


def render_card(metadata: ModelMetadata, schema: FeatureSchema, description: Description) -> str:
    """Return the card in Markdown."""
    told: Mapping[str, Any] = description.card
    text = {key: str(value).strip() for key, value in told.get("text", {}).items()}
    evaluation: Mapping[str, Any] = told.get("evaluation", {})
    sections: dict[str, list[str]] = {
        "Model details": [text.get("description", ""), *_details(metadata, schema, description, text)],
        "Intended use": _said(text, ("intended_use", "intended_users", "out_of_scope")),
        "Factors": [text.get("factors", "")],
        "Metrics": list(_metrics(metadata, evaluation)),
        "Evaluation data": [text.get("evaluation_data", ""), *_rows(evaluation)],
        "Training data": [text.get("training_data", ""), *_range(metadata)],
        "Quantitative analyses": [*_slices(evaluation), *_quantisation(told.get("quantisation", {}))],
        "Ethical considerations": [text.get("ethical_considerations", "")],
        "Caveats and recommendations": [text.get("caveats", "")],
    }
    page = [f"# {metadata.model_type} {metadata.model_version}"]
    for heading, parts in sections.items():
        filled_by = f": `{_FILLED_BY[heading]}` of the card's text says it" if heading in _FILLED_BY else ""
        page.append(f"## {heading}\n\n" + ("\n\n".join(filter(None, parts)) or _NOT_STATED.format(filled_by)))
    return "\n\n".join(page) + "\n"


def _details(
    metadata: ModelMetadata, schema: FeatureSchema, description: Description, text: Mapping[str, str]
) -> list[str]:
    steps = [*(step.to_dict() for step in description.pre), *(step.to_dict() for step in description.post)]
    facts = {
        "id": metadata.model_id,
        "version": metadata.model_version,
        "type": metadata.model_type,
        "trained": metadata.training_date,
        "run": metadata.mlflow_run_id,
        "owner": text.get("owner"),
        "contact": text.get("contact"),
        "license": text.get("license"),
        "feature schema": metadata.feature_schema_version,
        "features": ", ".join(schema.names),
        "steps around the graph": ", ".join(map(_step, steps)) or "none",
    }
    return [_table(("", ""), [(name, str(value)) for name, value in facts.items() if value]), *_heads(description)]


def _heads(description: Description) -> Iterator[str]:
    if description.heads:
        rows = [
            (h.name, h.kind, f"{h.cap:g}", h.calibration.method, f"{description.objective.get(h.name, 0):g}")
            for h in description.heads
        ]
        columns = ("head", "kind", "cap", "calibration", "worth of one unit in the score")
        yield "The score is a weighted objective over these heads, the label's first.\n\n" + _table(columns, rows)


def _step(declared: Mapping[str, Any]) -> str:
    return " ".join(str(value) for key, value in declared.items() if key not in ("scores", "rates"))


def _said(text: Mapping[str, str], keys: tuple[str, ...]) -> list[str]:
    return [f"**{key.replace('_', ' ').capitalize()}.** {text[key]}" for key in keys if text.get(key)]


def _metrics(metadata: ModelMetadata, evaluation: Mapping[str, Any]) -> Iterator[str]:
    metrics = evaluation.get("metrics") or metadata.metrics
    intervals = evaluation.get("intervals", {})
    if metrics:
        rows = [(name, _figure(value), _interval(intervals.get(name))) for name, value in metrics.items()]
        yield _table(("metric", "value", "interval"), rows)


def _rows(evaluation: Mapping[str, Any]) -> Iterator[str]:
    if "rows" in evaluation:
        yield f"{evaluation['rows']:,} rows, {evaluation.get('positives', 0):,} of them positive."


def _range(metadata: ModelMetadata) -> Iterator[str]:
    if between := metadata.training_data_date_range:
        yield f"Rows from {between.get('start', '?')} to {between.get('end', '?')}."


def _slices(evaluation: Mapping[str, Any]) -> Iterator[str]:
    if slices := evaluation.get("slices"):
        names = list(slices[0]["metrics"])
        figures = [[_figure(each["metrics"].get(name)) for name in names] for each in slices]
        rows = [(s["name"], s["value"], f"{s['rows']:,}", *f) for s, f in zip(slices, figures, strict=True)]
        yield _table(("feature", "value", "rows", *names), rows)


def _quantisation(measured: Mapping[str, Any]) -> Iterator[str]:
    if measured:
        rows = [(name.replace("_", " "), _figure(value)) for name, value in measured.items()]
        yield _INT8 + _table(("", ""), rows)


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _figure(value: object) -> str:
    match value:
        case None:
            return "not defined"
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _interval(interval: Any) -> str:
    return f"{interval[0]:.4g} to {interval[1]:.4g}" if interval else ""
