from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from docs.check import command_faults, commands, find_faults, main, read_documents

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository whose documents are true, to be damaged."""
    for folder in ("docs/decisions", "src/orita/monitoring", "src/orita/serving"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Small\n\n[alerts](docs/runbook.md#feature-drift)\n")
    (tmp_path / "Makefile").write_text("demo:\n\techo\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=2.4,<3"]\n[project.optional-dependencies]\ntrain = ["torch==2.13.0"]\n'
    )
    (tmp_path / "docs/decisions/0009-dependencies.md").write_text("| `numpy` | core |\n| `torch` | train |\n")
    (tmp_path / "docs/runbook.md").write_text(
        "### Feature drift\n\n`FEATURE_DRIFT`, `DOWN_LONG`: `model_gone`, `told`, `seen`, `broken`, `late`\n"
    )
    (tmp_path / "src/orita/monitoring/alerts.py").write_text('NAME = "FEATURE_DRIFT"\n')
    (tmp_path / "src/orita/serving/status.py").write_text(
        'def tell(event):\n    log.error(event, alert=True)\n\nlog.error("model_gone", alert=True)\ntell("told")\n'
        'log.info("quiet", alert=False)\nself._told.tell("seen", error)\n'
        'self._told.tell("unseen", error, alert=False)\nraise failure("broken", error)\nlog_failure("late", error)\n'
    )
    (tmp_path / "src/orita/monitoring/alert_rules.py").write_text('NAME = "DOWN_LONG"\n')
    return tmp_path


def sentences(repository: Path, file: str, addition: str) -> list[str]:
    """Return what is wrong once *addition* stands at the end of *file*."""
    with (repository / file).open("a", encoding="utf-8") as text:
        text.write(f"\n{addition}\n")
    return [fault.sentence for fault in find_faults(repository)]


def test_the_documents_are_true(capsys: pytest.CaptureFixture[str]) -> None:
    """Every link, anchor, command, key, file, alert and dependency that the documents name exists."""
    code = main()
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("addition", "sentence"),
    [
        ("[gone](docs/gone.md)", "the link 'docs/gone.md' leads to no file."),
        ("[gone](docs/runbook.md#gone)", "the link 'docs/runbook.md#gone' leads to no heading."),
        ("[gone](#gone)", "the link '#gone' leads to no heading."),
        ('<img src="gone.svg">', "the link 'gone.svg' leads to no file."),
        ("`orita fly`", "'orita' has no command 'fly'."),
        ("`orita models fly`", "'orita models' has no command 'fly'."),
        ("`orita serve --fly`", "'orita serve' has no option '--fly'."),
        ("```sh\ncd x && orita fly # now\n```", "'orita' has no command 'fly'."),
        ("`serving.wings`", "the key 'serving.wings' does not exist."),
        ("`src/orita/gone.py`", "the file 'src/orita/gone.py' does not exist."),
        ("`core/gone.py`", "the module 'core/gone.py' does not exist."),
        ("`make fly`", "the Makefile has no target 'fly'."),
    ],
)
def test_what_does_not_exist_is_found(repository: Path, addition: str, sentence: str) -> None:
    """Each kind of false statement is one fault, with a sentence that names it."""
    assert sentences(repository, "README.md", addition) == [sentence]


def test_what_exists_or_is_elsewhere_is_no_fault(repository: Path) -> None:
    """Links to the web, headings that occur twice, and code that is no call of ours are left alone."""
    links = "[1](#twice) [2](#twice-1) [w](https://x.org/#y) `a.b` `[x](y)`"
    addition = f"# Twice\n# Twice\n{links}\n```python\n# [x](y)\n```"
    assert sentences(repository, "README.md", addition) == []


def test_an_alert_without_an_entry_is_found(repository: Path) -> None:
    """An alert of monitoring needs a heading in the runbook, and an alerting log line an entry that names it."""
    assert find_faults(repository) == []
    (repository / "README.md").unlink()
    (repository / "docs/runbook.md").write_text("### Features\n")
    assert [fault.sentence for fault in find_faults(repository)] == [
        "src/orita/monitoring/alert_rules.py has the alert 'DOWN_LONG', and no entry names it.",
        "src/orita/monitoring/alerts.py links to #feature-drift, and there is no such heading.",
        "src/orita/serving/status.py logs the alert 'broken', and no entry names it.",
        "src/orita/serving/status.py logs the alert 'late', and no entry names it.",
        "src/orita/serving/status.py logs the alert 'model_gone', and no entry names it.",
        "src/orita/serving/status.py logs the alert 'seen', and no entry names it.",
        "src/orita/serving/status.py logs the alert 'told', and no entry names it.",
    ]


def test_a_dependency_without_a_reason_is_found(repository: Path) -> None:
    """A library in pyproject.toml that the decision does not list is a fault."""
    project = repository / "pyproject.toml"
    project.write_text(project.read_text().replace('"numpy', '"pandas>=3", "numpy'))
    assert [fault.sentence for fault in find_faults(repository)] == ["'pandas' is missing in the table."]


@pytest.mark.parametrize(
    "text",
    [
        "orita --set training.epochs=5 train --type lightgbm",
        "ORITA_HOME=x .venv/bin/orita --home y models promote v1.2.0 --reason 'why not'",
        "orita predict 42 7 8 9 --device mobile --server http://127.0.0.1:8080",
        "orita run all --data train",
        "curl -s http://x/orita | jq .",
        "orita",
    ],
)
def test_real_calls_are_no_fault(text: str) -> None:
    """Options with values, arguments that look like commands, and other programs are understood."""
    assert command_faults(text, commands()) == []


def test_every_command_is_documented() -> None:
    """The table of the command line lists every command with every option of its own."""
    api = (ROOT / "docs" / "api_docs.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `orita ([a-z -]+?)`[^|]*\|[^|]*\|([^|]*)\|$", api, re.MULTILINE))
    known = commands()
    above = {words for words in known if any(w[: len(words)] == words and w != words for w in known)}
    leaves = {words for words in known if words and (words not in above or known[words] - {"--help", "-h"})}
    assert {tuple(name.split()) for name in rows} == leaves
    for words in leaves:
        options = {option for option in known[words] if option.startswith("--") and not option.startswith("--no-")}
        assert set(re.findall(r"--[a-z-]+", rows[" ".join(words)])) == options - {"--help", "--json"}, words


def test_every_error_code_is_documented() -> None:
    """The table of errors has the codes that the server can answer with, and no other."""
    api = (ROOT / "docs" / "api_docs.md").read_text(encoding="utf-8")
    table = api[api.index("### Errors") : api.index("### Metrics for Prometheus")]
    documented = {
        (status, code) for status, code in re.findall(r"^\| (\d+|other) \| `([a-z_]+)` \|", table, re.MULTILINE)
    }
    serving = ROOT / "src/orita/serving"
    source = "\n".join(file.read_text() for file in sorted([*serving.glob("*.py"), *serving.glob("jobs/*.py")]))
    raised = set(re.findall(r"Refused\(\s*(\d{3}),\s*\"([a-z_]+)\"", source))
    raised |= set(re.findall(r"(\d{3}): \"([a-z_]+)\"", source))
    assert raised <= documented
    everything = "\n".join(file.read_text() for file in sorted(serving.rglob("*.py")))
    for _, code in documented:
        assert f'"{code}"' in everything, code


def test_the_examples_in_python_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The declarations in the API document can be copied and run."""
    api = (ROOT / "docs" / "api_docs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", api, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "api_docs.md", "exec"), {})
    assert "reader_desk_ctr" in capsys.readouterr().out


def test_the_examples_in_json_are_json() -> None:
    """Every JSON block in the documents can be read."""
    for document in read_documents(ROOT):
        for block in re.findall(r"^```json\n(.*?)^```", document.path.read_text(), re.MULTILINE | re.DOTALL):
            json.loads(block)


def test_the_feature_table_is_the_feed_s() -> None:
    """The table of training rows names the features of the shipped feed, with their sides and types."""
    from orita.project import open_project

    design = (ROOT / "docs" / "system_design.md").read_text(encoding="utf-8")
    table = design[design.index("### Training row") : design.index("### Model metadata")]
    listed = [
        (name, side, kind)
        for names, side, kind in re.findall(r"^\| (`[^|]+`) \| (\w+) \| (\w+) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    ]
    schema = open_project(ROOT / "docs", home=ROOT / ".orita", system="feed").system.schema()
    assert listed == [(column.name, column.side, column.arrow) for column in schema.columns]
