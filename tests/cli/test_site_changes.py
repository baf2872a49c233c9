"""``anamnesis testset`` and ``anamnesis key``: a person's changes of a site's frozen data."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anamnesis.local import site_changes
from anamnesis.records import EntryKind
from anamnesis.registry import Log
from anamnesis.snapshots.store_binding import list_store_bindings
from anamnesis.snapshots.testsets import list_test_sets
from anamnesis.storage import Store, open_store

from .conftest import documents, write_documents, write_split_key

Call = Callable[..., Any]
ISSUE = ("--reason", "labels were swapped", "--author", "rossi")


@pytest.fixture(scope="module")
def ingested_folder(tmp_path_factory: pytest.TempPathFactory, call: Call) -> Path:
    """Folder of a model whose site was ingested; nothing is learned."""
    from anamnesis.snapshots.phantoms import write_phantom_site

    folder = tmp_path_factory.mktemp("ingested")
    write_phantom_site(folder / "data", "xray", 40, 0)
    write_documents(folder / "model.yaml", documents())
    write_split_key(folder)
    assert call("ingest", "-f", folder / "model.yaml").code == 0
    return folder


@pytest.fixture
def file(ingested_folder: Path, tmp_path: Path) -> Path:
    """The resource file of a copy of that model."""
    shutil.copytree(ingested_folder, tmp_path / "copy")
    return tmp_path / "copy" / "model.yaml"


def store_of(file: Path) -> Store:
    return open_store((file.parent / "images").as_uri())


def entries_of(file: Path) -> list[tuple[EntryKind, str, str, str, str]]:
    entries = Log(open_store((file.parent / "registry").as_uri())).entries()
    return [(entry.kind, entry.site, entry.replaced_subject, entry.subject, entry.author) for entry in entries]


def swap_labels(file: Path) -> None:
    """Puts the images of each class into the folder of the other one."""
    first, second = (file.parent / "data" / name for name in ("normal", "opacity"))
    first.rename(file.parent / "other")
    second.rename(first)
    (file.parent / "other").rename(second)


def test_a_reissued_test_set_is_listed_and_logged_once(call: Call, file: Path) -> None:
    swap_labels(file)
    ingested = json.loads(call("ingest", "-f", file, "--json").out)["xray"]
    (first,) = list_test_sets(store_of(file))
    assert ingested["counts"]["corrected_test_labels"] == len(first.samples)
    assert "corrected_test_labels" in call("ingest", "-f", file).out
    issued = call("testset", "issue", "-f", file, *ISSUE)
    assert issued.code == 0, issued.err
    assert "test set 2 of xray is in force" in issued.out
    assert call("testset", "issue", "-f", file, *ISSUE).code == 0
    first, second = list_test_sets(store_of(file))
    assert entries_of(file) == [(EntryKind.ISSUE_TEST_SET, "xray", first.digest, second.digest, "rossi")]
    listed = json.loads(call("testset", "list", "-f", file, "--json").out)
    assert [(row["number"], row["is_current"]) for row in listed] == [(1, False), (2, True)]
    assert "rossi: labels were swapped" in call("testset", "list", "-f", file, "--site", "xray").out
    assert "corrected_test_labels" not in json.loads(call("ingest", "-f", file, "--json").out)["xray"]["counts"]


@pytest.mark.parametrize("command", ["testset issue", "key replace"])
def test_killed_before_the_log_entry_the_same_command_completes_it(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    swap_labels(file)
    shutil.rmtree(file.parent / ".anamnesis")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(site_changes, "record_site_change", die)
        assert call(*command.split(), "-f", file, *ISSUE).code == 130
    assert entries_of(file) == []
    written = (list_test_sets(store_of(file)), list_store_bindings(store_of(file)))
    for _ in range(2):
        assert call(*command.split(), "-f", file, *ISSUE).code == 0
    assert (list_test_sets(store_of(file)), list_store_bindings(store_of(file))) == written
    assert len(entries_of(file)) == 1


def test_a_registry_that_cannot_be_read_leaves_the_test_set_alone(call: Call, file: Path) -> None:
    registry = open_store((file.parent / "registry").as_uri())
    registry.put("log/00000000000000000001.json", b"{}")
    swap_labels(file)
    assert call("testset", "issue", "-f", file, *ISSUE).code != 0
    assert len(list_test_sets(store_of(file))) == 1


def test_without_its_state_folder_a_site_goes_on_with_the_same_splits(call: Call, file: Path) -> None:
    before = json.loads(call("ingest", "-f", file, "--json").out)["xray"]
    shutil.rmtree(file.parent / ".anamnesis")
    after = json.loads(call("ingest", "-f", file, "--json").out)["xray"]
    assert (after["snapshot"], after["reused"]) == (before["snapshot"], True)
    result = call("doctor", "-f", file)
    assert "from the site's store only" in result.out, result.err


def test_two_models_over_one_site_use_one_key(call: Call, file: Path) -> None:
    site, model = documents()
    second = {**model, "metadata": {"name": "second"}}
    second["spec"] = {**model["spec"], "registry": {"url": "registry-2"}, "splitKey": _own_file("second.key")}  # type: ignore[dict-item]
    write_documents(file, [site, model, second])
    results = [json.loads(call("ingest", "-f", file, "--model", name, "--json").out) for name in ("chest", "second")]
    assert results[0]["xray"]["snapshot"] == results[1]["xray"]["snapshot"]


def _own_file(path: str) -> dict[str, object]:
    return {"type": "File", "file": {"path": path}}


def test_a_key_is_derived_for_a_member_who_then_needs_no_network_key(call: Call, file: Path, tmp_path: Path) -> None:
    output = tmp_path / "member.key"
    assert call("key", "derive", "-f", file, "--site", "xray", "--output", output).code == 0
    assert output.stat().st_mode & 0o777 == 0o600
    assert output.read_text() == call("key", "derive", "-f", file, "--site", "xray").out
    assert output.read_text() != call("key", "derive", "-f", file, "--site", "lyon").out
    taken = call("key", "derive", "-f", file, "--site", "lyon", "--output", output)
    assert (taken.code, "the file exists and has another content" in taken.err) == (2, True)
    assert bytes.fromhex(list_store_bindings(store_of(file))[0].key).decode() == output.read_text().strip()
    site, model = documents()
    site["spec"] = {**site["spec"], "splitKey": _own_file(str(output)), "store": "member-images"}  # type: ignore[dict-item]
    write_documents(file, [site, model])
    shutil.rmtree(file.parent / ".anamnesis")
    member = json.loads(call("ingest", "-f", file, "--json").out)["xray"]
    assert member["key_fingerprint"] == list_store_bindings(store_of(file))[0].fingerprint
    assert not (file.parent / ".anamnesis" / "split.key").exists()


def test_an_own_key_that_differs_is_refused_until_it_replaces_the_first(call: Call, file: Path) -> None:
    (file.parent / "own.key").write_text("o" * 64)
    site, model = documents()
    site["spec"] = {**site["spec"], "splitKey": _own_file("own.key")}  # type: ignore[dict-item]
    write_documents(file, [site, model])
    refused = call("ingest", "-f", file)
    assert (refused.code, "anamnesis key replace --site xray --reason TEXT" in refused.err) == (3, True)
    replaced = call("key", "replace", "-f", file, "--reason", "leaked", "--author", "rossi")
    assert replaced.code == 0, replaced.err
    assert "o" * 64 not in replaced.out + replaced.err
    first, second = list_store_bindings(store_of(file))
    assert entries_of(file) == [(EntryKind.REKEY, "xray", first.fingerprint, second.fingerprint, "rossi")]
    assert call("ingest", "-f", file).code == 0


def test_corrected_labels_wait_for_the_next_test_set_which_decides(call: Call, promoted_model_file: Path) -> None:
    """The model learned swapped labels; then they are put right."""
    file = promoted_model_file
    swap_labels(file)
    first_run = json.loads(call("run", "-f", file, "--json").out)[0]
    assert first_run["status"]["sites"][0]["state"] == "AwaitingEvaluations"
    assert "anamnesis testset issue --site xray --reason TEXT" in first_run["status"]["sites"][0]["message"]
    assert [update["verdict"] for update in first_run["updates"]] == ["await_evaluations"]
    assert call("testset", "issue", "-f", file, *ISSUE).code == 0
    second_run = json.loads(call("run", "-f", file, "--json").out)[0]
    assert second_run["status"]["sites"][0]["state"] == "AwaitingApproval"
    assert "on the replaced test set of xray it scores AUROC" in second_run["updates"][0]["reason"]
    (first, second) = list_test_sets(store_of(file))
    shown = [
        json.loads(call("registry", "show", "-f", file, name, "--json").out)
        for name in ("champion", second_run["updates"][0]["version"])
    ]
    for details in shown:  # champion and candidate have scores on both sets
        assert {first.digest, second.digest} <= {item["test_set"] for item in details["evaluations"]}
