"""A failed step of an operator's run writes to the registry; it never hides its error, and never takes long."""

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes.signed_hospital import RUN, private_key

from anamnesis.components import failure_record
from anamnesis.components.step_reporter import EVENTS_VARIABLE, read_request, report_step
from anamnesis.records import AnamnesisError, InputError, encode_object
from anamnesis.records.signature import PublicKey, SigningSettings
from anamnesis.registry import read_step_failure
from anamnesis.registry.identity import RegistryIdentity, write_identity
from anamnesis.registry.opening import open_registry
from anamnesis.storage import open_store

AUTHOR, RUN_NAME = "anamnesis-operator/uid-1", "chest-one-1"


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(EVENTS_VARIABLE, str(path))
    return path


def request(registry: str, **changes: object) -> str:
    return json.dumps({"registry": registry, "author": AUTHOR, "run": RUN_NAME, **changes})


def fail(text: str, error: Exception) -> None:
    with report_step("train_ewc", text):
        raise error


def event_kinds(path: Path) -> Mapping[str, Any]:
    return {event["event"]: event for event in map(json.loads, path.read_text().splitlines())}


@pytest.mark.parametrize(
    ("error", "message", "exit_code"),
    [
        (InputError("spec.training.batchSize: too large"), "spec.training.batchSize: too large", 2),
        (ValueError("SCHMIDT_ANNA"), "unexpected ValueError in anamnesis.components.", 1),
    ],
)
def test_the_registry_gets_the_safe_sentence(
    tmp_path: Path, events: Path, error: Exception, message: str, exit_code: int
) -> None:
    registry = f"{tmp_path}/registry"
    with pytest.raises(AnamnesisError):
        fail(request(registry), error)
    failure = read_step_failure(open_store(registry), AUTHOR, RUN_NAME)
    assert failure
    assert (failure.run, failure.step, failure.exit_code) == (RUN_NAME, "train_ewc", exit_code)
    assert failure.message.startswith(message)
    assert "SCHMIDT" not in failure.message
    assert set(event_kinds(events)) == {"start", "error"}


def test_a_request_of_another_release_is_told_too(tmp_path: Path, events: Path) -> None:
    registry = f"{tmp_path}/registry"
    with pytest.raises(InputError), report_step("ingest_site", request(registry)):
        raise InputError(f"request.site: missing ({len(read_request(request(registry)))} fields)")
    failure = read_step_failure(open_store(registry), AUTHOR, RUN_NAME)
    assert failure
    assert "request.site" in failure.message


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"registry": "x", "author": "anamnesis", "run": None})])
def test_a_run_of_no_operator_writes_nothing(tmp_path: Path, events: Path, text: str) -> None:
    with pytest.raises(InputError):
        fail(text, InputError("wrong"))
    assert set(event_kinds(events)) == {"start", "error"}
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]


def test_a_signed_registry_gets_a_signed_failure(tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = f"{tmp_path}/registry"
    write_identity(open_store(registry), RegistryIdentity("chest", {}, signed=True))
    settings = SigningSettings("env:TEST_RUN_KEY", RUN.role, (PublicKey("runs", RUN.role, RUN.public_key),))
    text = request(registry, signing=encode_object(settings))
    with pytest.raises(InputError, match="wrong"):  # the key is missing: the step's own error stays
        fail(text, InputError("wrong"))
    assert "TEST_RUN_KEY" in event_kinds(events)["failure_not_recorded"]["message"]
    monkeypatch.setenv("TEST_RUN_KEY", private_key(RUN))
    with pytest.raises(InputError, match="wrong"):
        fail(text, InputError("wrong"))
    failure = read_step_failure(open_registry(registry, settings), AUTHOR, RUN_NAME)
    assert failure
    assert failure.signature


def test_a_registry_that_never_answers_delays_the_error_by_seconds(
    events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_record, "WRITE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        begin = time.monotonic()
        with pytest.raises(InputError, match="wrong"):
            fail(request("s3://models/chest"), InputError("wrong"))
        assert time.monotonic() - begin < 5
    assert "does not answer" in event_kinds(events)["failure_not_recorded"]["message"]
