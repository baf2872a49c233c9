"""The report of a trained model: from the registry and the sites' stores to ``report.json`` and ``report.html``."""

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from anamnesis.evaluation.report.saliency_table import FORGETTING_FORMULA
from anamnesis.registry import read_evaluations
from anamnesis.storage import open_store
from anamnesis.updates.reporting import ReportSubject, write_report

if TYPE_CHECKING:
    from conftest import UpdateRunner

TITLE = f'title="{FORGETTING_FORMULA}"'


def write_runner_report(runner: "UpdateRunner", folder: Path) -> tuple[dict[str, object], str]:
    """Returns the model in ``report.json``, and the page."""
    subject = ReportSubject("model", runner.method, runner.registry, runner.learned_sites)
    page = write_report("Three sites", [subject], folder, "2026-01-01T00:00:00+00:00")
    (model,) = json.loads((folder / "report.json").read_text())["models"]
    return model, page.read_text()


def test_saliency_forgetting_is_the_mean_of_the_stored_retention(runner: "UpdateRunner", tmp_path: Path) -> None:
    for site in ("north", "east", "south"):
        runner.write_images(site, patients=240)  # with fewer test patients the report has no exact numbers
        runner.update(site)
    evaluations = read_evaluations(open_store(runner.registry), runner.base)
    ious = {e.site: e.metrics["IoU"].value for e in evaluations if "IoU" in e.metrics}
    assert set(ious) == {"north", "east"}
    mean = float(sum((1 - iou for iou in ious.values()), Decimal(0)) / 2)

    model, page = write_runner_report(runner, tmp_path / "report")
    assert model["continual"]["IoU"] == {"SaliencyForgetting": round(mean, 6)}
    table = page[page.index("<h3>Earlier sites: measured scores</h3>") : page.index("<h3>The gate")]
    assert table.count(TITLE) == 1
    for iou in ious.values():
        assert f'<td class="number">{1 - iou:.2f}' in table
    assert f"<tfoot>{table.split('<tfoot>')[1]}".count(f"{mean:.3f}") == 1


def test_a_model_of_one_site_has_no_saliency_forgetting(runner: "UpdateRunner", tmp_path: Path) -> None:
    runner.update("north")
    model, page = write_runner_report(runner, tmp_path / "report")
    assert "SaliencyForgetting" not in json.dumps(model)
    assert "Saliency forgetting" not in page
