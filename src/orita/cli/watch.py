"""Commands about watching: monitor."""

from __future__ import annotations

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.opening import project_of


@app.command()
def monitor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Compare what was served with what was expected, judge quality from feedback, raise alerts, write a report."""
    from orita.pipelines.runs import run_pipeline

    (run,) = run_pipeline("monitoring", project_of(context).workspace(progress=settings_of(context).screen))
    results = run.results
    told = results["generate_alerts"]
    if as_json:
        print_json({**told, "run": run.run_id, "seconds": run.seconds})
        return
    for name in ("compute_feature_drift", "compute_prediction_drift"):
        drift = results[name]
        rows = [[f["name"], f["sentence"]] for f in drift["findings"] if f["drifted"]]
        if rows:
            table(f"Drift of {drift['about']}", ["what", "finding"], rows)
        else:
            typer.echo(f"No drift of {drift['about']}. {drift['note']}")
    for version in results["evaluate_online_performance"]["versions"]:
        typer.echo(version["sentence"])
    for alert in told["alerts"]:
        typer.echo(f"{alert['severity'].upper()}  {alert['name']}  {alert['summary']}  → {alert['runbook']}")
    typer.echo(f"{len(told['alerts'])} alerts fire, {told['new']} of them new. Report: {told['report']}")
    for failure in told["undelivered"]:
        typer.echo(f"warning: an alert did not arrive: {failure}")
    if told["retrain"]:
        typer.echo("A new model is due: " + " ".join(told["reasons"]) + " Next: orita run retraining")
