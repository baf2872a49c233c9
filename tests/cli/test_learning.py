import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from anamnesis.pipelines.run_record import ExecutionState, claim_folder, read_records, write_record
from anamnesis.snapshots.phantoms import write_phantom_site

from .conftest import documents, write_documents

Call = Callable[..., Any]


def state(call: Call, file: Path) -> list[str]:
    return [site["state"] for site in json.loads(call("status", "-f", file, "--json").out)[0]["status"]["sites"]]


def version(call: Call, file: Path) -> str:
    return str(json.loads(call("registry", "list", "-f", file, "--json").out)[0]["version"])


def test_a_run_that_waits_for_approval_says_so_and_a_second_one_does_nothing(call: Call, model_file: Path) -> None:
    assert state(call, model_file) == ["AwaitingApproval"]
    second_run = call("run", "-f", model_file)
    assert (second_run.code, "nothing new to learn" in second_run.err) == (0, True)
    runs = json.loads(call("status", "-f", model_file, "--json").out)[0]["runs"]
    assert [run["state"] for run in runs] == ["Succeeded"]


def test_modalities_that_the_method_does_not_read_are_told(call: Call, tmp_path: Path) -> None:
    site, model = documents()
    site["spec"]["modalities"] = ["DX", "CR"]  # type: ignore[index]
    write_phantom_site(tmp_path / "data", "xray", 8, 0)
    shown = call("status", "-f", write_documents(tmp_path / "model.yaml", [site, model]))
    assert "reads the first of spec.modalities of the Site, DX; it does not read CR" in shown.out


def test_approval_promotes_and_is_in_the_log(call: Call, promoted_model_file: Path) -> None:
    assert state(call, promoted_model_file) == ["Learned"]
    assert "chosen by a range test at this update" in call("status", "-f", promoted_model_file).out
    shown = call("registry", "show", "-f", promoted_model_file, "champion").out
    assert "approve by dr.rossi: seen" in shown
    assert "champion" in shown
    assert call("run", "-f", promoted_model_file).code == 0
    assert state(call, promoted_model_file) == ["Learned"]


def test_rejection_is_final_and_lets_nothing_through(call: Call, model_file: Path) -> None:
    digest = version(call, model_file)
    assert call("reject", "-f", model_file, digest, "--reason", "blurred").code == 0
    assert state(call, model_file) == ["Rejected"]
    refused = call("approve", "-f", model_file, digest, "--reason", "after all")
    assert (refused.code, "has rejected it, and a rejection is final" in refused.err) == (3, True)
    assert call("run", "-f", model_file).code == 0
    assert state(call, model_file) == ["Rejected"]


def test_a_rollback_needs_an_earlier_champion(call: Call, model_file: Path) -> None:
    result = call("rollback", "-f", model_file, version(call, model_file), "--reason", "x")
    assert (result.code, "no version was ever champion" in result.err) == (3, True)


def test_a_withdrawal_leaves_no_champion_and_every_reader_is_shown_it(
    call: Call, promoted_model_file: Path, tmp_path: Path
) -> None:
    file, digest = promoted_model_file, version(call, promoted_model_file)
    rollback = call("rollback", "-f", file, digest, "--reason", "x")
    assert (rollback.code, "already; nothing changed" in rollback.out) == (0, True)
    stop = ("withdraw", "-f", file, "--author", "dr.rossi", "--reason", "wrong labels")
    assert "is withdrawn, and no version is in use" in call(*stop).out
    assert "nothing changed" in call(*stop).out
    study = next((file.parent / "data").rglob("IM*"))
    for command in (["registry", "show", "-f", file, "champion"], ["predict", "-f", file, study]):
        result = call(*command)
        assert result.code == 3
        assert "dr.rossi withdrew the champion" in result.err
        assert "because: wrong labels" in result.err
    assert json.loads(call("registry", "list", "-f", file, "--json").out)[0]["state"] == "withdrawn"
    assert call("run", "-f", file).code == 0
    assert state(call, file) == ["Withdrawn"]
    request = call("update", "-f", file, "--site", "xray")
    assert (request.code, "no update starts" in request.err) == (3, True)
    assert len(json.loads(call("registry", "list", "-f", file, "--json").out)) == 1
    assert "dr.rossi withdrew the champion" in call("status", "-f", file).out
    assert call("report", "-f", file, "--folder", tmp_path).code == 0
    assert "Do not use this model" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert call("rollback", "-f", file, digest, "--reason", "the labels were right").code == 0
    assert state(call, file) == ["Learned"]


def test_touched_files_are_ingested_again_and_bring_nothing_new(call: Call, promoted_model_file: Path) -> None:
    image_path = next((promoted_model_file.parent / "data").rglob("IM*"))
    image_path.touch()
    assert state(call, promoted_model_file) == ["Next"]
    result = call("run", "-f", promoted_model_file)
    assert "nothing new to learn" in result.err
    assert state(call, promoted_model_file) == ["Learned"]


def test_a_missing_source_is_reported_by_name(call: Call, promoted_model_file: Path) -> None:
    (promoted_model_file.parent / "data").rename(promoted_model_file.parent / "gone")
    result = call("run", "-f", promoted_model_file)
    assert result.code == 2
    assert "ContinualModel chest, Site xray: not readable: source" in result.err
    assert state(call, promoted_model_file) == ["Unreadable"]


def test_a_run_of_another_command_is_told(call: Call, promoted_model_file: Path) -> None:
    shutil.rmtree(promoted_model_file.parent / "data")
    runs = promoted_model_file.parent / ".anamnesis" / "chest" / "runs"
    (record,) = read_records(runs)
    running = replace(record, id="20260101T000000-xray-abcdef", state=ExecutionState.RUNNING)
    update = ("update", "-f", promoted_model_file, "--site", "xray")
    with claim_folder(runs / running.id):
        write_record(runs / running.id, running)
        assert f"another command runs {running.id}" in call(*update).err
    assert "another command" not in call(*update).err


def test_one_bad_label_ends_neither_the_other_sites_nor_the_other_models(call: Call, awaiting_folder: Path) -> None:
    """The first site's labels are broken, the second model's registry is damaged: the rest is learned."""
    folder = awaiting_folder.parent / "several"
    shutil.copytree(awaiting_folder / "data", folder / "data")
    shutil.copytree(awaiting_folder / "data", folder / "bad")
    (folder / "bad" / "normal").rename(folder / "bad" / "nromal")
    good, model = documents()
    good["spec"]["store"] = "good-images"  # type: ignore[index]
    bad = {**good, "metadata": {"name": "bad"}, "spec": {**good["spec"], "store": "bad-images"}}  # type: ignore[dict-item]
    bad["spec"]["source"] = {"type": "Folder", "folder": {"path": "bad"}}  # type: ignore[index]
    model["spec"] |= {"sites": [{"name": "bad"}, {"name": "xray"}]}  # type: ignore[operator]
    damaged = {**model, "metadata": {"name": "a-damaged"}, "spec": {**model["spec"], "registry": {"url": "damaged"}}}  # type: ignore[dict-item]
    (folder / "damaged" / "log").mkdir(parents=True)
    (folder / "damaged" / "log" / "00000000000000000001.json").write_text("{}")
    file = write_documents(folder / "model.yaml", [good, bad, damaged, model])
    result = call("run", "-f", file, "--json")
    assert result.code == 5, result.err  # that of the first failure
    assert "ContinualModel a-damaged: " in result.err
    assert "ContinualModel chest, Site bad: " in result.err
    (document,) = json.loads(result.out)
    assert [update["site"] for update in document["updates"]] == ["xray"]
    assert list(document["failures"]) == ["bad"]
    states = {site["name"]: site["state"] for site in document["status"]["sites"]}
    assert states == {"bad": "Failed", "xray": "AwaitingApproval"}


def test_ingest_counts_and_is_quick_the_second_time(call: Call, model_file: Path) -> None:
    result = json.loads(call("ingest", "-f", model_file, "--json").out)["xray"]
    assert result["reused"] is True
    assert sum(result["counts"][split] for split in ("train", "validation", "calibration", "test")) == 160


def test_ingest_says_how_many_files_have_no_sample_why_and_where_they_are_listed(call: Call, model_file: Path) -> None:
    from builders.dicom_series import write_series

    folder = model_file.parent / "data" / "normal"
    shutil.copy(folder / "IM000000", folder / "copy")
    (folder / "Rossi").touch()
    (folder / "Bianchi").symlink_to("nowhere")
    write_series(folder, 1, slices=3, modality="CT")
    result = call("ingest", "-f", model_file)
    lines = result.out.splitlines()
    assert lines[2:8] == [
        "xray: 2 quarantined:",
        "  1 x the file is empty",
        "  1 x the link leads to nothing, or to itself",
        "xray: 3 not for this site:",
        "  3 x the modality is not one of the site's modalities",
        "xray: 1 copies of other files",
    ]
    listed = Path(lines[8].removeprefix("xray: the files are listed in file://")).read_text(encoding="utf-8")
    assert all(name in listed and name not in result.out + result.err for name in ("Rossi", "Bianchi", "CT1_2"))


def test_progress_goes_to_standard_error_and_results_to_standard_output(call: Call, model_file: Path) -> None:
    result = call("ingest", "-f", model_file, "--json")
    json.loads(result.out)
    assert "Traceback" not in result.err


def test_a_site_that_grows_by_few_patients_waits_and_says_so(call: Call, promoted_model_file: Path) -> None:
    folder = promoted_model_file.parent
    text = promoted_model_file.read_text(encoding="utf-8")
    promoted_model_file.write_text(text.replace("minimumPatients: 1", "minimumPatients: 20"), encoding="utf-8")
    write_phantom_site(folder / "more", "xray", 6, 1)
    for path in sorted((folder / "more").rglob("IM*")):
        path.rename(folder / "data" / path.parent.name / f"new-{path.name}")
    result = call("run", "-f", promoted_model_file)
    assert (result.code, "nothing new to learn" in result.err) == (0, True), result.err
    assert "held back: " in call("status", "-f", promoted_model_file).out
    assert state(call, promoted_model_file) == ["Learned"]
    update = call("update", "-f", promoted_model_file)  # a person asks for it: the same patients are learned again
    assert update.code == 0, update.err
    assert "held back: " in update.err
    assert "(spec.changePlan.minimumPatients)" in update.err
