"""A tiny model on phantoms, run once through its compiled pipeline; tests that change it work on a copy."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from builders.gates import OPEN_GATE
from builders.resource_documents import PNEUMONIA, document, model_spec, site_spec
from typer.testing import CliRunner


def documents(registry: str = "registry", source: str = "data") -> list[dict[str, object]]:
    """Returns a site and a model whose gate waits for a person."""
    task = {**PNEUMONIA, "name": "phantom", "classes": ["normal", "opacity"]}
    model = {
        "network": {"type": "SmallCNN", "input": {"channels": 1, "size": [32, 32]}, "options": {"width": 8}},
        "training": {"epochs": 1},
        "gate": OPEN_GATE | {"approval": "Required"},
        "registry": {"url": registry},
    }
    return [
        document("Site", "xray", site_spec({"type": "Folder", "folder": {"path": source}}, "images", task, "DX")),
        document("ContinualModel", "chest", model_spec(("xray",), model)),
    ]


def write_documents(path: Path, resources: Sequence[dict[str, object]]) -> Path:
    path.write_text(yaml.safe_dump_all(resources), encoding="utf-8")
    return path


def write_split_key(folder: Path) -> None:
    """Writes the network key of a folder, so that its splits are the same in every run."""
    key = folder / ".anamnesis" / "split.key"
    key.parent.mkdir()
    key.write_text("5" * 64, encoding="ascii")
    key.chmod(0o600)


class CommandResult:
    """What a command left: exit code, standard output and standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Call = Callable[..., CommandResult]


@pytest.fixture(scope="session")
def call() -> Call:
    """Runs a command in this process."""
    from anamnesis.cli.app import app

    def run(*arguments: object) -> CommandResult:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return CommandResult(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def awaiting_folder(tmp_path_factory: pytest.TempPathFactory, call: Call) -> Path:
    """Folder of a model whose first update waits for approval; only read it."""
    pytest.importorskip("torch")
    from anamnesis.snapshots.phantoms import write_phantom_site

    folder = tmp_path_factory.mktemp("waiting")
    write_phantom_site(folder / "data", "xray", 80, 0)
    write_documents(folder / "model.yaml", documents())
    write_split_key(folder)
    result = call("run", "-f", folder / "model.yaml", "--author", "tester")
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def model_file(awaiting_folder: Path, tmp_path: Path) -> Path:
    """The resource file of a copy of that model."""
    shutil.copytree(awaiting_folder, tmp_path / "copy")
    return tmp_path / "copy" / "model.yaml"


@pytest.fixture
def promoted_model_file(model_file: Path, call: Call) -> Path:
    """The resource file of a copy in which the update was approved."""
    assert (
        call("approve", "-f", model_file, candidate(model_file, call), "--reason", "seen", "--author", "dr.rossi").code
        == 0
    )
    return model_file


def candidate(file: Path, call: Call) -> str:
    """Returns the digest of the only version."""
    import json

    return str(json.loads(call("registry", "list", "-f", file, "--json").out)[0]["version"])
