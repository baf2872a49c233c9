"""Five sites at 224 pixels, learned one after another by ``anamnesis run`` with the model of the README's example.

``python -m benchmarks five_sites`` takes that model, and ``FrozenRidge`` with a frozen network; half an
hour. A folder that was used before is continued, as a user would. Of the example only the gate differs: it is
advisory, so that the next site is learned whatever it says; and since one identifier of lung CT stands for up to 80
studies, that site and the change plan allow few patients.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.scoreboard.sites import data_folder

MODALITIES = {
    "cxr_kermany": "DX",
    "ct_lung_iqoth": "CT",
    "mri_brain_tumour": "MR",
    "micro_bloodcell_bccd": "SM",
    "sts_ct": "CT",
}
METHODS = ("FrozenRidge", "EWCPrototype")
MEASURES = {"balanced accuracy": "BalancedAccuracy", "site inferred": "SiteInferred", "AUROC": "AUROC"}
README = Path(__file__).parents[1] / "README.md"


def run(options: Sequence[str] = ()) -> list[dict[str, object]]:
    """Returns a row for each site, of the version after the last site, and their mean."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks five_sites")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--folder", type=Path, default=Path("build/five_sites"))
    chosen = parser.parse_args(options)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return [row for method in chosen.methods for row in learn_sites(method, chosen.folder)]


def learn_sites(method: str, folder: Path) -> list[dict[str, object]]:
    """Learns the five sites with one method, and returns its rows."""
    file, report = folder / f"{method}.yaml", folder / f"{method}-report"
    documents = [*(site_document(name) for name in MODALITIES), model_document(method)]
    file.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    command = Path(sys.executable).with_name("anamnesis")
    subprocess.run([command, "run", "-f", file], check=True)
    subprocess.run([command, "report", "-f", file, "--folder", report], check=True)
    (model,) = json.loads((report / "report.json").read_text(encoding="utf-8"))["models"]
    rows = list(_rows(method, model))
    return [*rows, _mean_row(method, rows)]


def site_document(folder: str) -> dict[str, Any]:
    """Returns the Site of a folder of images with a manifest."""
    source, name = data_folder() / "native224" / folder, folder.replace("_", "-")
    with (source / "labels.csv").open(encoding="utf-8", newline="") as labels:
        classes = sorted({row["label"] for row in csv.DictReader(labels)})
    spec: dict[str, Any] = {
        "source": {"type": "Folder", "folder": {"path": str(source)}},
        "labels": {"from": "Manifest", "manifest": "labels.csv"},
        "modalities": [MODALITIES[folder]],
        "task": {"name": name, "type": "Classification", "classes": classes, "primaryMetric": "BalancedAccuracy"},
        "store": f"images/{folder}",
    }
    if folder == "ct_lung_iqoth":
        spec["maximumStudiesPerPatient"] = 0
    return {"apiVersion": "anamnesis.dev/v1alpha1", "kind": "Site", "metadata": {"name": name}, "spec": spec}


def model_document(method: str) -> dict[str, Any]:
    """Returns the ContinualModel of the README's example over the five sites."""
    example = README.read_text(encoding="utf-8").split("```yaml")[1].split("```")[0]
    model: dict[str, Any] = list(yaml.safe_load_all(example))[1]
    spec = model["spec"]
    spec["sites"] = [{"name": folder.replace("_", "-")} for folder in MODALITIES]
    spec["gate"] |= {"enforcement": "Advisory", "approval": "Automatic", "minimumTestPatients": 10}
    spec["changePlan"] = {"minimumPatients": 5}
    if method == "FrozenRidge":
        spec["method"], spec["network"]["frozen"] = {"name": method}, "All"
    model["metadata"]["name"] = method.lower()
    spec["registry"] = {"url": f"registry/{method.lower()}"}
    return model


def _rows(method: str, model: Mapping[str, Any]) -> Iterator[dict[str, object]]:
    matrices = model["matrices"]
    for number, column in enumerate(model["columns"]):
        values = {name: float(matrices[metric][-1][number]["value"]) for name, metric in MEASURES.items()}
        just_learned = float(matrices[MEASURES["balanced accuracy"]][number][number]["value"])
        row: dict[str, object] = {"method": method, "site": column["site"], **values}
        yield row | {"when it was learned": just_learned, "bytes in a version": model["site_bytes"][column["site"]]}


def _mean_row(method: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    means = {name: sum(row[name] for row in rows) / len(rows) for name in list(rows[0])[2:]}
    return {"method": method, "site": "mean", **means}
