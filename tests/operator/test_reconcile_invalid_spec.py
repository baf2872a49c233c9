"""A model with a field that means nothing says so, starts nothing, and still listens to people."""

from fakes.hospital import APPROVAL_REQUIRED, AUTOMATIC_GATE, SPACE, FakeHospital, HospitalNetwork

from anamnesis.operator.api.gate import GateSpec
from anamnesis.operator.api.model import ContinualModelSpec, RegistrySpec
from anamnesis.operator.api.network import NetworkSpec

MISSPELT = GateSpec.model_validate(AUTOMATIC_GATE | {"tasks": [{"name": "brs", "floor": "0.95"}]})
CORRECT = GateSpec.model_validate(AUTOMATIC_GATE)


def stalled(hospital: FakeHospital) -> tuple[str, str, str]:
    condition = hospital.model.status.condition("Stalled")
    assert condition
    return condition.status, condition.reason, condition.message


def test_a_misspelt_task_is_told_before_any_data_arrives(hospital: FakeHospital) -> None:
    hospital.edit_model(gate=MISSPELT)
    hospital.reconcile()
    status, reason, message = stalled(hospital)
    assert (status, reason) == ("True", "InvalidSpec")
    assert message.startswith("spec.gate.tasks[0].name: no Site of the model has a task 'brs'")
    assert ("InvalidSpec", message) in [event[2:] for event in hospital.cluster.events]
    hospital.network.add_data("north", "a")
    hospital.reconcile()
    assert (hospital.states()["north"], hospital.updates) == ("InvalidSpec", ())
    hospital.edit_model(gate=CORRECT)
    hospital.run_update()
    assert (hospital.states()["north"], stalled(hospital)[0]) == ("Learned", "False")


def test_the_gate_does_not_decide_by_limits_that_nobody_meant(hospital: FakeHospital) -> None:
    hospital.network.add_data("north", "a", quality="0.6")
    hospital.reconcile()
    hospital.edit_model(gate=MISSPELT)
    hospital.finish_runs()
    hospital.reconcile()
    assert (hospital.states()["north"], hospital.history().champion) == ("InvalidSpec", None)
    hospital.edit_model(gate=CORRECT)
    hospital.reconcile()
    assert hospital.states()["north"] == "Learned"


def test_a_person_can_reject_while_the_spec_is_wrong(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED)
    network.add_data("north", "a")
    hospital.run_update()
    hospital.edit_model(gate=MISSPELT)
    (update,) = hospital.updates
    rejection = hospital.create_approval("Reject", update.status.version or "", update.metadata.name)
    hospital.reconcile()
    assert hospital.approval_result(rejection) == ("True", "Recorded")


def test_a_secret_without_its_key_stops_runs_and_not_the_gate(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED)
    network.add_data("north", "a")
    hospital.run_update()
    split_key = {"type": "Secret", "secret": {"name": "split", "key": "hmac"}}
    changed = hospital.model.spec.model_dump(mode="json", by_alias=True, exclude_none=True) | {"splitKey": split_key}
    hospital.edit_model(split_key=ContinualModelSpec.model_validate(changed).split_key)
    hospital.cluster.secrets[SPACE, "split"] = {"key": "k" * 64}
    hospital.reconcile()
    assert stalled(hospital)[:2] == ("True", "InvalidSpec")
    assert "the Secret 'split' has no key 'hmac'" in stalled(hospital)[2]
    hospital.decide_pending()
    hospital.reconcile()
    assert hospital.history().champion
    hospital.cluster.secrets[SPACE, "split"] = {"hmac": "k" * 64}
    hospital.reconcile()
    assert stalled(hospital)[0] == "False"


def test_a_registry_secret_without_the_keys_of_the_bucket_is_named(hospital: FakeHospital) -> None:
    registry = RegistrySpec.model_validate({"url": "s3://models/chest", "credentialsSecret": {"name": "bucket"}})
    hospital.edit_model(registry=registry)
    hospital.cluster.secrets[SPACE, "bucket"] = {"AWS_ACCESS_KEY_ID": "id", "aws_secret_access_key": "k"}
    hospital.reconcile()
    status, reason, message = stalled(hospital)
    assert (status, reason) == ("True", "InvalidSpec")
    assert message.startswith(
        "spec.registry.credentialsSecret: the Secret 'bucket' has no key AWS_SECRET_ACCESS_KEY; add the keys"
    )
    hospital.cluster.secrets[SPACE, "bucket"] = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "k"}
    hospital.reconcile()
    assert stalled(hospital)[0] == "False"


def test_another_network_than_the_champion_has_is_told_before_data_arrives(hospital: FakeHospital) -> None:
    own_network, other_network = NetworkSpec(), NetworkSpec.model_validate({"options": {"width": 64}})
    hospital.edit_model(network=own_network)
    hospital.network.add_data("north", "a")
    hospital.run_update()
    hospital.edit_model(network=other_network)
    hospital.reconcile()
    status, reason, message = stalled(hospital)
    assert (status, reason, hospital.states()["north"]) == ("True", "InvalidSpec", "Learned")
    assert "network.options.width: expected 32 as in the base version, found 64" in message
    hospital.network.add_data("north", "b")
    hospital.reconcile()
    assert (hospital.states()["north"], len(hospital.updates)) == ("InvalidSpec", 1)
    hospital.edit_model(network=own_network)
    hospital.run_update()
    assert (hospital.states()["north"], stalled(hospital)[0]) == ("Learned", "False")
