"""A person with the bucket's key forges an approval: a real operator and API server report it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from apiserver.hospital_namespace import HospitalNamespace
from apiserver.pipeline_pods import FakePipelinePods
from builders.api_server import ApiServer
from builders.waiting import eventually
from fakes.pipelines_server import PipelinesServer

from anamnesis.operator.addresses import RUN_KEY_VARIABLE
from anamnesis.operator.api.condition_types import UNVERIFIED_PROMOTION
from anamnesis.records import EntryKind, SignerRole
from anamnesis.registry import Log
from anamnesis.registry.log_entries import dump_entry, entry_key
from anamnesis.registry.signing import make_signer, new_private_key
from anamnesis.storage import open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def pods(s3_environment: Mapping[str, str]) -> Iterator[FakePipelinePods]:
    with PipelinesServer() as server:
        yield FakePipelinePods(server, s3_environment)


def test_a_forged_approval_is_reported_and_promotes_nothing(
    cluster: ApiServer,
    hospital: HospitalNamespace,
    pods: FakePipelinePods,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private_keys = {role: new_private_key() for role in (SignerRole.OPERATOR, SignerRole.RUN)}
    monkeypatch.setenv(RUN_KEY_VARIABLE, private_keys[SignerRole.RUN])
    (tmp_path / "operator.key").write_text(private_keys[SignerRole.OPERATOR])
    secret = {"metadata": {"name": "run-key"}, "stringData": {"key": private_keys[SignerRole.RUN]}}
    cluster.request("POST", f"/api/v1/namespaces/{hospital.namespace}/secrets", secret)
    public_keys = [
        {"name": role.value.lower(), "role": role.value, "key": make_signer(role, private_key).public_key}
        for role, private_key in private_keys.items()
    ]
    signing = {"publicKeys": public_keys, "runKeySecret": {"name": "run-key"}}
    registry = {"url": hospital.registry, "credentialsSecret": {"name": "bucket"}, "signing": signing}
    hospital.apply("Required", changes=pods.spec_changes | {"registry": registry})
    hospital.start_operator(flags=(f"--signing-key={tmp_path / 'operator.key'}", "--resync=2"))
    hospital.upload_images("north")
    eventually(lambda: bool(pods.live_runs()))
    pods.finish_runs()
    hospital.wait_for_states(north="AwaitingApproval")
    eventually(lambda: hospital.condition(UNVERIFIED_PROMOTION) == "False EntriesVerified")
    bucket = open_store(hospital.registry, hospital.bucket)
    last = Log(bucket).entries()[-1]
    (update,) = hospital.get("modelupdates")["items"]
    forged = replace(
        last,
        number=last.number + 1,
        previous_digest=last.digest,
        kind=EntryKind.APPROVE,
        subject=update["status"]["version"],
        author="rossi",
        signature=None,
    )
    assert bucket.put_if_absent(entry_key(forged.number), dump_entry(forged))
    eventually(lambda: hospital.condition(UNVERIFIED_PROMOTION) == "True EntryUnverified")
    assert "champion" not in hospital.status()
    assert hospital.status()["verifiedLogEntry"]["number"] == last.number
