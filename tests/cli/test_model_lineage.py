"""Models are held against each other, traced, taken elsewhere and made smaller on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.small_world import orita_inside, told
from tests.features.small_system import DECLARED
from tests.registry.small_registry import answered, empty_registry, registered, trained_home

from orita.core.home import Home

HERE = ("--home", "home")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with two models, of which the first is champion and answered a request."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "orita.yaml").write_text("system: features.py\n")
    (folder / "features.py").write_text(DECLARED)
    workspace = trained_home(folder)
    first = registered(workspace, "two_tower")
    registered(workspace, "popularity")
    workspace.catalogue().promote("small", first.version, actor="ada", reason="the first")
    answered(workspace.home, first.version, workspace.clock.now(), ["r1"])
    return folder


def test_diff_in_words_and_for_programs(project: Path) -> None:
    """The tables name what differs, a line sums up what is equal; the object has every part."""
    shown = orita_inside(project, *HERE, "models", "diff", "v1.1.0", "v1.2.0")
    assert "Graphs" in shown and "Equal in both:" in shown and "features (8)" in shown
    found = told(project, *HERE, "models", "diff", "v1.1.0", "v1.2.0")
    assert (found["a"], found["b"]) == ("v1.1.0", "v1.2.0")
    assert found["parts"]["identity"]["changes"][0]["name"] == "type"
    assert "has no model 'v9'" in orita_inside(project, *HERE, "models", "diff", "v1.1.0", "v9", code=2)


def test_lineage_as_a_tree_a_page_and_an_object(project: Path) -> None:
    """The tree goes down to the file and on to the prediction; the page stands alone; the object has both ways."""
    shown = orita_inside(project, *HERE, "models", "lineage", "--html", "lineage.html")
    for text in ("small v1.1.0", "table interactions@0, 400 rows", "from interactions.jsonl", "by ada: the first"):
        assert text in " ".join(shown.replace("│", " ").split())
    page = (project / "lineage.html").read_text()
    assert "Lineage of small v1.1.0" in page and "://" not in page
    found = told(project, *HERE, "models", "lineage", "champion")
    assert (found["to"]["predictions"]["requests"], found["from"]["tables"][0]["rows"]) == (1, 400)


def test_lineage_from_elsewhere(project: Path) -> None:
    """A request, a table and a training set lead to their models; two beginnings at once are refused."""
    assert "item 100: 0.9000, rank 1" in orita_inside(project, *HERE, "models", "lineage", "--prediction", "r1")
    assert told(project, *HERE, "models", "lineage", "--prediction", "r1")["model"]["version"] == "v1.1.0"
    shown = orita_inside(project, *HERE, "models", "lineage", "--table", "interactions@0")
    assert "v1.1.0" in shown and "v1.2.0" in shown
    assert "No model was trained from users@3" in orita_inside(
        project, *HERE, "models", "lineage", "--table", "users@3"
    )
    training_set = told(project, *HERE, "models", "show", "v1.1.0")["tags"]["orita.training_set"]
    found = told(project, *HERE, "models", "lineage", "--training-set", training_set)
    assert {"v1.1.0", "v1.2.0"} <= {model["version"] for model in found["models"]}
    said = orita_inside(project, *HERE, "models", "lineage", "champion", "--prediction", "r1", code=2)
    assert "give one of" in said
    assert "'gone'" in orita_inside(project, *HERE, "models", "lineage", "--prediction", "gone", code=2)


def test_a_model_is_taken_to_another_home(project: Path) -> None:
    """Exported, imported, imported again; a file that is none, and a system without its features, are refused."""
    file = told(project, *HERE, "models", "export", "v1.1.0", "model.tar", "--origin", "there")
    assert file["bytes"] == (project / "model.tar").stat().st_size
    empty_registry(Home(project / "other"))
    other = ("--home", "other")
    made = told(project, *other, "models", "import", "model.tar", "--as", "challenger")
    assert (made["version"], made["new"], made["origin"]["home"]) == ("v1.1.0", True, "there")
    assert "It is here already, as v1.1.0" in orita_inside(project, *other, "models", "import", "model.tar")
    assert "v1.1.0 of small, tenant default, in there: imported" in " ".join(
        orita_inside(project, *other, "models", "lineage", "challenger").split()
    )
    strange = ("models", "export", "v1.1.0", "strange.tar", "--origin", "[/red] there")
    assert told(project, *HERE, *strange)["version"] == "v1.1.0"
    empty_registry(Home(project / "third"))
    assert "in [/red] there" in orita_inside(project, "--home", "third", "models", "import", "strange.tar")
    (project / "none.tar").write_text("no archive")
    assert "is not an archive of a model" in orita_inside(project, *other, "models", "import", "none.tar", code=2)
    said = orita_inside(project, *other, "--system", "feed", "models", "import", "model.tar", code=2)
    assert "reads 'user_clicks'" in said
    assert "exists" in orita_inside(project, *HERE, "models", "export", "v1.1.0", "model.tar", code=2)


def test_a_model_is_made_smaller(project: Path) -> None:
    """The table has both parts and the size; the second time nothing is made; counts are refused by a sentence."""
    asked = (*HERE, "models", "quantise", "v1.1.0", "--max-auc-loss", "0.5")
    shown = orita_inside(project, *asked)
    assert "test rows" in shown and "bytes of the graph" in shown and "Next: orita models promote v1.3.0" in shown
    again = told(project, *asked)
    assert (again["version"], again["new"], again["parent"]) == ("v1.3.0", False, "v1.1.0")
    assert "stays as it is" in orita_inside(project, *HERE, "models", "quantise", "v1.2.0", code=2)
