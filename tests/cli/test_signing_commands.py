"""Signatures and the identity of a registry on one machine."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from anamnesis.records import EntryKind, LogEntry, canonical_json
from anamnesis.registry import Log
from anamnesis.registry.log_entries import dump_entry, entry_key
from anamnesis.storage import open_store

Call = Callable[..., Any]


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the ContinualModel of a file."""
    resources = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    change(next(resource for resource in resources if resource["kind"] == "ContinualModel"))
    file.write_text(yaml.safe_dump_all(resources), encoding="utf-8")


def entries(file: Path, registry: str = "registry") -> tuple[LogEntry, ...]:
    return Log(open_store(str(file.parent / registry))).entries()


def forge_entry(file: Path, registry: str, **changes: object) -> None:
    """Appends an unsigned entry with a valid chain."""
    last = entries(file, registry)[-1]
    next_link = {"number": last.number + 1, "previous_digest": last.digest, "signature": None, "author": "rossi"}
    entry = replace(last, **(next_link | changes))  # type: ignore[arg-type]
    assert open_store(str(file.parent / registry)).put_if_absent(entry_key(entry.number), dump_entry(entry))


@pytest.fixture
def signed_model_file(model_file: Path, call: Call, tmp_path: Path) -> Path:
    """A model that lists the key of this machine, with imported weights as its champion."""
    from safetensors.torch import save_file

    from anamnesis.methods import build_method
    from anamnesis.operator.api import load_resources
    from anamnesis.operator.requests import configuration

    key_file = model_file.parent / ".anamnesis" / "chest" / "signing.key"
    public = json.loads(call("key", "signing", "--role", "Local", "--output", key_file, "--json").out)
    edit(model_file, lambda m: m["spec"].update(registry={"url": "signed", "signing": {"publicKeys": [public]}}))
    method = build_method(configuration(load_resources(model_file).models["chest"].resource.spec))
    method.resize_head(2)
    save_file(method.network.state_dict(), tmp_path / "weights.safetensors")
    result = call("registry", "import", "-f", model_file, "--site", "xray", tmp_path / "weights.safetensors")
    assert result.code == 0, result.err
    return model_file


def test_a_key_pair_is_made_and_the_private_key_is_shown_nowhere(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "run.key"
    arguments = ("key", "signing", "--role", "Run", "--output", file, "--secret", "chest-run", "-n", "wards")
    result = call(*arguments)
    private_key = file.read_text().strip()
    assert result.code == 0
    assert f"kubectl -n wards create secret generic chest-run --from-file=key={file}" in result.out
    assert re.search(r"\{name: run, role: Run, key: [A-Za-z0-9+/]{43}=\}", result.out)
    assert private_key not in result.out + result.err
    assert file.stat().st_mode & 0o077 == 0
    assert call(*arguments).out == result.out, "an existing key is not replaced"


def test_a_local_run_says_local(call: Call, model_file: Path) -> None:
    assert {entry.signature.role.value for entry in entries(model_file) if entry.signature} <= {"Local"}
    approval = call("reject", "-f", model_file, "champion", "--reason", "no")
    assert approval.code != 0
    result = call("status", "-f", model_file, "--json")
    assert "not verified" in json.loads(result.out)[0]["signatures"]
    verified = call("registry", "verify", "-f", model_file, "--json")
    assert "no public key is given" in json.loads(verified.out)["signatures"]


def test_a_forged_entry_is_said_by_every_command(call: Call, signed_model_file: Path, tmp_path: Path) -> None:
    champion = entries(signed_model_file, "signed")[-1].subject
    honest = call("registry", "verify", "-f", signed_model_file)
    assert (honest.code, "1 signed by Local keys; verified" in honest.out) == (0, True), honest.out
    forge_entry(signed_model_file, "signed", kind=EntryKind.APPROVE, subject=champion, decision=None)
    sentence = "log entry 2 (approve"
    assert sentence in call("status", "-f", signed_model_file).out
    verified = call("registry", "verify", "-f", signed_model_file, "--json")
    assert (verified.code, sentence in json.loads(verified.out)["problems"][0]) == (5, True)
    study = next((signed_model_file.parent / "data").rglob("IM*"))
    prediction = call("predict", "-f", signed_model_file, study, "--json")
    assert "it has no signature" in json.loads(prediction.out)[0]["warnings"][0]
    assert sentence in prediction.err
    assert call("report", "-f", signed_model_file, "--folder", tmp_path / "report").code == 0
    assert sentence in (tmp_path / "report" / "report.html").read_text()


def test_a_forged_score_is_not_shown_to_the_person_who_approves(call: Call, signed_model_file: Path) -> None:
    version = entries(signed_model_file, "signed")[-1].subject
    honest = call("reject", "-f", signed_model_file, version, "--reason", "x")
    assert "already promoted" in honest.err
    forged = next((signed_model_file.parent / "registry").rglob("evaluations/xray/*.json"))
    record = json.loads(forged.read_text())
    target = signed_model_file.parent / "signed" / "versions" / version.removeprefix("sha256:") / "evaluations" / "xray"
    target.mkdir(parents=True)
    (target / forged.name).write_bytes(canonical_json({**record, "version": version, "signature": None}))
    result = call("reject", "-f", signed_model_file, version, "--reason", "x")
    assert (result.code, "it has no signature" in result.err) == (5, True), result.err
    assert "floor" not in result.err


def test_verification_needs_no_file_of_the_model(call: Call, signed_model_file: Path) -> None:
    url = signed_model_file.parent / "signed"
    _, model = yaml.safe_load_all(signed_model_file.read_text())
    (public_key,) = model["spec"]["registry"]["signing"]["publicKeys"]
    arguments = ("registry", "verify", "--registry", url, "--public-key")
    assert call(*arguments, f"local={public_key['key']}").code == 0
    swapped = call(*arguments, f"operator={public_key['key']}")
    assert (swapped.code, "has the role Operator" in swapped.out) == (5, True)
    assert "expected ROLE=KEY" in call(*arguments, "nonsense").err
    (url / "registry.json").unlink()
    lost = call(*arguments, f"local={public_key['key']}")
    assert (lost.code, "registry.json is missing" in lost.out) == (5, True)


def test_a_machine_whose_key_is_not_listed_writes_nothing(call: Call, signed_model_file: Path) -> None:
    (signed_model_file.parent / ".anamnesis" / "chest" / "signing.key").unlink()
    result = call("evaluate", "-f", signed_model_file, "--version", "champion")
    assert result.code == 3
    assert "the key of this machine" in result.err
    assert "role: Local, key: " in result.err


def test_two_models_with_one_registry_are_refused_and_a_renamed_one_is_adopted(call: Call, model_file: Path) -> None:
    edit(model_file, lambda model: model["metadata"].update(name="thorax"))
    for command in (("run",), ("status",), ("ingest", "--site", "xray")):
        result = call(*command, "-f", model_file)
        assert "belongs to the model chest, and this is thorax" in result.err + result.out
    adopted = call("registry", "adopt", "-f", model_file, "--reason", "the model was renamed", "--author", "dr.rossi")
    assert adopted.code == 0, adopted.err
    assert call("status", "-f", model_file).code == 0
    last = entries(model_file)[-1]
    assert (last.kind, last.subject, last.author) == (EntryKind.ADOPT, "thorax", "dr.rossi")
    edit(model_file, lambda model: model["metadata"].update(name="chest"))
    assert "belongs to the model thorax, and this is chest" in call("status", "-f", model_file).err
