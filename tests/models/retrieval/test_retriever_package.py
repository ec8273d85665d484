"""A retriever on disk: whole or refused, and read by nothing but NumPy and onnxruntime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.models.packaged import CARD
from tests.models.retrieval.tastes import interactions, kinds_of_items
from tests.models.retrieval.test_retrievers import SMALL

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.models.package.manifest import write_manifest
from orita.models.ranker import FitContext
from orita.models.retrieval.build import RETRIEVERS, build_reranked, build_retriever
from orita.models.retrieval.config import RetrieverType
from orita.models.retrieval.package import load_retriever, write_retriever
from orita.models.retrieval.retriever import Retriever


def _written(type_: RetrieverType, folder: Path) -> Retriever:
    if type_ == "reranked":
        retriever: Retriever = build_reranked(SMALL, {}, {"kind": kinds_of_items()})
    else:
        retriever = build_retriever(SMALL.model_copy(update={"type": type_}))
    retriever.fit(interactions(), FitContext(SILENT))
    write_retriever(folder, retriever, CARD, interactions().users_N)
    return retriever


@pytest.mark.parametrize("type_", sorted(RETRIEVERS))
def test_serving_reads_it_without_the_training_libraries(type_: RetrieverType, tmp_path: Path) -> None:
    """A process in which PyTorch, LightGBM and onnx cannot be imported loads the package and answers the same."""
    retriever = _written(type_, tmp_path / "package")
    user = int(interactions().users_N[0])
    program = (
        "import sys\n"
        "for name in ('torch', 'lightgbm', 'onnx', 'sklearn', 'safetensors'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from orita.models.retrieval.package import load_retriever\n"
        f"found = load_retriever(Path({str(tmp_path / 'package')!r})).retrieve(np.array([{user}]), 5)\n"
        "print(found.items_QK[0].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == retriever.retrieve(np.array([user]), 5).items_QK[0].tolist()


@pytest.mark.parametrize("type_", sorted(RETRIEVERS))
def test_any_changed_file_is_refused_by_name(type_: RetrieverType, tmp_path: Path) -> None:
    """A flipped byte, a missing file and an added file are refused, with the file's name in the sentence."""
    folder = tmp_path / "package"
    _written(type_, folder)
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        with pytest.raises(UserError, match=file.name):
            load_retriever(folder)
        file.write_bytes(content)
    (folder / "model.pkl").write_bytes(b"\x80")
    with pytest.raises(UserError, match=r"model\.pkl"):
        load_retriever(folder)


@pytest.mark.parametrize("type_", ["ease", "reranked", "two_tower"])
def test_files_that_do_not_fit_together_are_refused(type_: RetrieverType, tmp_path: Path) -> None:
    """Files of another model under a right manifest are refused by what they hold."""
    folder = tmp_path / "package"
    _written(type_, folder)
    for file in sorted(folder.glob("*.npz")):
        content = file.read_bytes()
        np.savez(file, other=np.zeros(3, np.float32))
        write_manifest(folder)
        with pytest.raises(UserError, match=file.name):
            load_retriever(folder)
        file.write_bytes(content)


@pytest.mark.parametrize(
    "card", [{"format": 1, "type": "magic"}, {"format": 2, "type": "ease"}, ["ease"], "not JSON"], ids=str
)
def test_an_unknown_card_is_refused(card: object, tmp_path: Path) -> None:
    """An unknown type, another format, and what is no card are refused with what is allowed."""
    folder = tmp_path / "package"
    _written("popularity", folder)
    (folder / "retriever.json").write_text(card if isinstance(card, str) else json.dumps(card))
    write_manifest(folder)
    with pytest.raises(UserError, match=r"retriever\.json"):
        load_retriever(folder)
