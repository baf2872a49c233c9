"""A rollback drill on a real API server: Kubeflow is away, and an operator of its own process executes decisions."""

import json
from collections.abc import Callable
from typing import Any

from apiserver.hospital_namespace import HospitalNamespace
from builders.waiting import eventually

from anamnesis.operator.api.network import NetworkSpec
from anamnesis.operator.requests import network_settings
from anamnesis.records import Configuration, Decision, EntryKind, Verdict, Version, digest_bytes, encode_object
from anamnesis.registry import Log, record_decision, write_version
from anamnesis.storage import Store, open_store

AWAY = {
    "backend": {"type": "Kubeflow", "kubeflow": {"endpoint": "http://127.0.0.1:1", "image": "example/anamnesis:1"}},
    "splitKey": {"type": "Secret", "secret": {"name": "bucket", "key": "ANAMNESIS_SPLIT_KEY"}},
}


def promote(registry: Store, hospital: HospitalNamespace, name: str, base: str | None) -> str:
    network = NetworkSpec.model_validate(hospital.model("Automatic")["spec"]["network"])
    configuration = encode_object(Configuration("ewc_prototype", network=network_settings(network)))
    parts = {part: digest_bytes(part.encode()) for part in ("backbone", "method")}
    snapshot = digest_bytes(name.encode())
    version = Version(base=base, snapshot=snapshot, site="north", configuration=configuration, parts=parts)
    digest = write_version(registry, version, {part: part.encode() for part in parts})
    decision = Decision(Verdict.PROMOTE, digest, base=base, champion=base, criteria=(), evaluations=(), reason="passed")
    record_decision(registry, decision, "operator", "passed")
    return digest


def test_a_rollback_drill_while_kubeflow_is_away(hospital: HospitalNamespace, run: Callable[..., Any]) -> None:
    registry = open_store(hospital.registry, hospital.bucket)
    first = promote(registry, hospital, "first", None)
    promote(registry, hospital, "second", first)
    hospital.apply(changes=AWAY)
    hospital.start_operator()
    eventually(lambda: hospital.condition("BackendReachable") == "False Unreachable", 60)
    assert hospital.condition("Ready") == "True ChampionInUse"

    def decide(*arguments: str) -> dict[str, str]:
        result = run(*arguments, "-n", hospital.namespace, "--reason", "drill", "--json")
        assert result.code == 0, result.err
        document: dict[str, str] = json.loads(result.out)
        return document

    assert decide("rollback", "chest", first)["reason"] == "Recorded"
    assert decide("rollback", "chest", first)["reason"] == "AlreadyInEffect"
    third = promote(registry, hospital, "third", first)
    assert decide("withdraw", "chest")["reason"] == "Recorded"
    eventually(lambda: hospital.condition("Ready") == "False Withdrawn")
    status = run("status", "-n", hospital.namespace, "chest")
    assert "Ready=False" in status.out
    assert "withdrew the champion" in status.out
    assert decide("withdraw")["reason"] == "AlreadyInEffect"
    assert decide("rollback", "chest", third)["reason"] == "Recorded"
    eventually(lambda: hospital.condition("Ready") == "True ChampionInUse")
    assert hospital.status()["champion"] == third
    kinds = [entry.kind for entry in Log(registry).entries() if entry.approval]
    changes = [EntryKind.ROLL_BACK, EntryKind.NO_EFFECT, EntryKind.WITHDRAW, EntryKind.NO_EFFECT, EntryKind.ROLL_BACK]
    assert kinds == changes
    refused = run("rollback", "-n", hospital.namespace, "chest", "sha256:" + "0" * 64, "--reason", "x")
    assert (refused.code, "NeverPromoted" in refused.err) == (3, True)
