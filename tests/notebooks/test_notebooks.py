"""The notebooks run from top to bottom on a small world, and are kept without what a run printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

nbformat: Any = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient: Any = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("lightgbm", reason="LightGBM is not installed")
pytest.importorskip("mlflow", reason="MLflow is not installed")

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ("01_data_exploration", "02_model_prototyping", "03_results_analysis")
ROWS = "4000"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home that all notebooks share: what one computed the next one finds."""
    return tmp_path_factory.mktemp("notebooks") / "home"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", [NAMES[1], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[::2])])
def test_a_notebook_runs_from_top_to_bottom(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell runs in order in a new kernel; it writes into its home and nowhere else; a failing cell is shown."""
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, str(home.parent / variable.lower()))
    monkeypatch.setenv("ORITA_NOTEBOOK_HOME", str(home))
    monkeypatch.setenv("ORITA_NOTEBOOK_ROWS", ROWS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = sorted(FOLDER.iterdir())
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # CellExecutionError: its text is the cell and the traceback
    ran = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))
    assert all(cell.outputs for cell in ran[1:] if "print(" in cell.source or "plt.show()" in cell.source)
    assert sorted(FOLDER.iterdir()) == before
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_without_outputs(name: str) -> None:
    """No outputs, no counts, no path of a machine, and no figure in the prose that a rerun would change."""
    file = FOLDER / f"{name}.ipynb"
    book = nbformat.read(file, as_version=4)
    nbformat.validate(book)
    assert file.stat().st_size < 40_000
    assert set(book.metadata) == {"kernelspec", "language_info"}
    for cell in book.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users)/", cell.source)
        if cell.cell_type == "markdown":
            assert not re.search(r"\d\.\d{2,}|\d+ ?%", cell.source), cell.source


def test_all_notebooks_are_tested() -> None:
    """A notebook that is added is run by these tests too."""
    assert sorted(file.stem for file in FOLDER.glob("*.ipynb")) == sorted(NAMES)
