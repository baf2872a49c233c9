"""Nobody's name is in any output of the command line, its logs, its records or the registry.

Names are in file names, folders, label tables, DICOM tags and NPZ groups, and many files are broken.
"""

import csv
import logging
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from builders.bar_images import bar_images
from builders.gates import OPEN_GATE
from builders.leak_search import find_texts, folder_bytes, identifying_texts
from builders.resource_documents import document, model_spec, site_spec
from cli.conftest import write_documents

from anamnesis.snapshots.phantoms import write_phantom_site

Call = Callable[..., Any]
TASK = {"name": "find", "type": "Classification", "classes": ["left", "right"], "primaryMetric": "Accuracy"}
NAME = "Schröder_Zoë_19501224"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with a site of DICOM files and a label table, and a site of one NPZ file."""
    write_table_site(tmp_path / "clinic", tmp_path / "raw")
    write_npz_site(tmp_path / "ward")
    labels = {"from": "Manifest", "manifest": "labels.csv"}
    sites = [
        document(
            "Site",
            name,
            {**site_spec({"type": "Folder", "folder": {"path": name}}, f"store-{name}", TASK, "DX"), **changes},
        )
        for name, changes in (("clinic", {"labels": labels, "maximumQuarantineShare": "0.5"}), ("ward", {}))
    ]
    changes = {
        "network": {"type": "SmallCNN", "input": {"channels": 1, "size": [16, 16]}, "options": {"width": 8}},
        "training": {"epochs": 1},
        "gate": OPEN_GATE,
        "registry": {"url": "registry"},
    }
    write_documents(
        tmp_path / "model.yaml", [*sites, document("ContinualModel", "chest", model_spec(("clinic", "ward"), changes))]
    )
    return tmp_path


def source(name: str) -> dict[str, object]:
    return {"type": "Folder", "folder": {"path": name}}


def write_table_site(folder: Path, raw: Path) -> None:
    write_phantom_site(raw, "xray", 24, 3)
    (folder / NAME).mkdir(parents=True)
    rows = [["file", "label", "patient", "split"]]
    for number, path in enumerate(sorted(raw.rglob("IM*"))):
        file = f"{NAME}/{pydicom.dcmread(path).PatientName}_{number}.dcm"
        path.rename(folder / file)
        patient = f"Ketterer-{number // 2}"
        rows.append([file, "left" if number < 24 else "right", patient, "test" if number // 2 % 3 == 0 else "train"])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    (folder / NAME / "Lindqvist-Astrid.dcm").write_bytes(b"Lindqvist^Astrid, not an image")
    (folder / NAME / "Novak_Jan.dcm").symlink_to("Novak_Jan.dcm")
    (folder / NAME / "Moreau_Luc.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")


def write_npz_site(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{NAME}.npz").write_bytes(bar_images("Castellano", 24))


def test_no_name_is_in_any_output_log_or_record(
    folder: Path, call: Call, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ANAMNESIS_DEBUG", "1")
    texts = identifying_texts(folder / "clinic") | identifying_texts(folder / "ward") | {NAME, "Ketterer", "Lindqvist"}
    assert len(texts) > 250
    outputs: dict[str, str] = {}

    def run(name: str, code: int, *arguments: object) -> None:
        result = call(*arguments)
        outputs[name] = result.out + result.err
        assert result.code == code, result.err

    model = folder / "model.yaml"
    table = (folder / "clinic" / "labels.csv").read_text(encoding="utf-8")
    broken_tables = {
        "headerless": table.partition("\n")[2],
        "unknown label": table.replace("left", "Schröder links"),
        "open quote": table.replace(",left", ',"left', 1),
        "split twice": table.replace("train", "test", 1),
    }
    for name, text in broken_tables.items():
        (folder / "clinic" / "labels.csv").write_text(text, encoding="utf-8")
        outputs[name] = (result := call("ingest", "-f", model)).out + result.err
    (folder / "clinic" / "labels.csv").write_text(table, encoding="utf-8")
    run("run", 0, "run", "-f", model, "--author", "tester")
    for command in ("ingest", "status", "evaluate"):
        outputs[command] = (result := call(command, "-f", model)).out + result.err
    run("report", 0, "report", "-f", model, "--folder", folder / "report")
    run("list", 0, "registry", "list", "-f", model)
    with zipfile.ZipFile(folder / "studies.zip", "w") as archive:
        for path in sorted((folder / "clinic" / NAME).glob("*_1*.dcm")):
            archive.write(path, f"{NAME}/{path.name}")
    run("predict", 0, "predict", "-f", model, folder / "clinic", folder / "studies.zip", folder / "ward")
    moved = next((folder / "clinic" / NAME).glob("*_2.dcm"))
    moved.unlink()
    outputs["deleted"] = (result := call("ingest", "-f", model)).out + result.err
    searched = {name: text.encode() for name, text in outputs.items()}
    searched |= {"log": caplog.text.encode()}
    searched |= {name: folder_bytes(folder / name) for name in ("registry", ".anamnesis", "report")}
    # The Base64 text of a picture has every short name by chance.
    searched["report"] = re.sub(rb"data:image/png;base64,[A-Za-z0-9+/=]+", b"", searched["report"])
    for path in (*(folder / "store-clinic" / "quarantine").iterdir(), *(folder / "store-ward").glob("quarantine/*")):
        path.unlink()
    searched |= {name: folder_bytes(folder / name) for name in ("store-clinic", "store-ward")}
    leaks = {name: leak for name, data in searched.items() if (leak := find_texts(data, texts))}
    assert leaks == {}
    assert find_texts(folder_bytes(folder / "clinic"), texts) >= {"Lindqvist-Astrid.dcm", "Ketterer"}
