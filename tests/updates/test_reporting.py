"""The report of a trained model: from the registry and the sites' stores to ``report.json`` and ``report.html``."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from anamnesis.evaluation.report import read_report
from anamnesis.evaluation.report.saliency_table import FORGETTING_FORMULA
from anamnesis.records import Decision, SiteRef, Verdict
from anamnesis.registry import ApprovalMode, read_evaluations, read_version
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
        assert f'<td class="number">{1 - iou:.3f}' in table
    assert f"<tfoot>{table.split('<tfoot>')[1]}".count(f"{mean:.3f}") == 1


def test_a_model_of_one_site_has_no_saliency_forgetting(runner: "UpdateRunner", tmp_path: Path) -> None:
    runner.update("north")
    model, page = write_runner_report(runner, tmp_path / "report")
    assert "SaliencyForgetting" not in json.dumps(model)
    assert "Saliency forgetting" not in page


def test_a_report_shows_the_training_the_waiting_version_and_the_card(runner: "UpdateRunner", tmp_path: Path) -> None:
    runner.minimum_patients = 20
    runner.write_images("north", patients=120)
    runner.update("north")
    runner.write_images("east", patients=120)
    runner.policy = replace(runner.policy, approval=ApprovalMode.REQUIRED)
    candidate = str(runner.update("east")["train"]["version"])
    store = open_store(runner.registry)
    decision = Decision(
        verdict=Verdict.AWAIT_APPROVAL, candidate=candidate, base=runner.base, champion=runner.base, criteria=(),
        evaluations=(), reason="passed 1 criterion and waits for a person's approval",
    )  # fmt: skip
    east = SiteRef("east", runner.store("east"), runner.config("east").task, str(runner.ingest("east")[1]), ("OT",))
    subject = ReportSubject(
        "model", runner.method, runner.registry, (*runner.learned_sites, east), pending={candidate: decision}
    )
    page = write_report("One waits", [subject], tmp_path, "2026-01-01T00:00:00+00:00").read_text()
    (model,) = read_report((tmp_path / "report.json").read_bytes()).models
    assert model.champion == runner.base
    assert model.waiting is not None
    assert model.waiting.version == candidate
    assert f"version {candidate.removeprefix('sha256:')[:8]}, undecided: awaits approval" in page
    counts = model.updates[0].class_patients
    assert set(counts) == {"left", "right"}
    assert all(count is not None and count > 20 for count in counts.values())
    assert len(model.updates[0].epoch_losses) == runner.training.epochs
    assert model.configuration["training"] == read_version(store, runner.base).configuration["training"]
    assert [line.kind for line in model.log] == ["promote"]
    card = (tmp_path / "model_card.md").read_text()
    assert f"| 1 | north | {runner.base} |" in card
    assert "Task rows" not in card  # of the site that waits: the version in use has not learned it
