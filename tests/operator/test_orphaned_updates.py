"""A deleted model: its run is ended, its claim released, and its ModelUpdates deleted, whatever happens meanwhile."""

import contextlib

import pytest
from builders.resource_documents import Json
from fakes.hospital import SPACE, FakeHospital, HospitalNetwork, OperatorKilledError, model_document
from fakes.memory_cluster import MemoryCluster

from anamnesis.operator.api import ContinualModel
from anamnesis.operator.api.annotations import RUNS_FINALIZER
from anamnesis.operator.api.condition_types import DECIDED
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import RunState
from anamnesis.operator.backends.guarded_backend import BackendError
from anamnesis.operator.runtime.cache import Cache, ResourceChange
from anamnesis.operator.runtime.event_mapping import all_keys, keys_for
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import UnreachableError
from anamnesis.records.timestamps import parse_timestamp

KEY = ReconcileKey("ContinualModel", SPACE, "chest")
FINALIZER_OF_OTHERS = "other.io/x"


@pytest.fixture
def running(network: HospitalNetwork, hospital: FakeHospital) -> FakeHospital:
    """A hospital whose model has one run."""
    network.add_data("north", "a")
    hospital.reconcile()
    assert len(hospital.backend.live_runs) == 1
    return hospital


def create_model(cluster: MemoryCluster, **metadata: object) -> ContinualModel:
    document: Json = model_document({}, ("north", "south"))
    return cluster.create(ContinualModel.model_validate({**document, "metadata": {**document["metadata"], **metadata}}))


def has_open_claim(hospital: FakeHospital) -> bool:
    claims = hospital.history().claims.values()
    return any(parse_timestamp(claim.deadline) > hospital.network.now for claim in claims)


def assert_nothing_is_left(hospital: FakeHospital) -> None:
    assert (hospital.updates, hospital.backend.live_runs) == ((), [])
    assert not has_open_claim(hospital)


def decided(update: ModelUpdate) -> tuple[str, str]:
    condition = update.status.condition(DECIDED)
    assert condition
    return condition.reason, condition.message


def test_nothing_holds_a_model_and_its_updates_outlive_it(running: FakeHospital) -> None:
    assert running.model.metadata.finalizers == ()
    running.cluster.delete(running.model)
    assert running.cluster.get(ContinualModel, SPACE, "chest") is None
    assert len(running.updates) == 1, "it is the record of what runs"
    running.reconcile()
    assert_nothing_is_left(running)


def test_a_kill_between_any_two_writes_loses_nothing(network: HospitalNetwork) -> None:
    kills = 0
    for writes in range(20):
        network = HospitalNetwork()
        hospital = FakeHospital(network, {})
        network.add_data("north", "a")
        hospital.reconcile()
        hospital.cluster.delete(hospital.model)
        network.writes_left = writes
        with contextlib.suppress(OperatorKilledError):
            hospital.reconciler.reconcile(KEY)
            break
        kills += 1
        network.writes_left = None
        hospital.start_operator()
        hospital.reconcile()
        assert_nothing_is_left(hospital)
    assert kills >= 3, "cancel, release, delete"


def test_while_a_server_is_away_the_update_says_so_and_the_queue_tries_again(
    network: HospitalNetwork, running: FakeHospital
) -> None:
    running.cluster.delete(running.model)
    network.unreachable = True
    for _ in range(2):
        with pytest.raises(BackendError, match="does not answer"):
            running.reconcile()
    (update,) = running.updates
    reason, message = decided(update)
    assert reason == "ModelDeleted"
    assert f"kubectl -n {SPACE} delete modelupdate {update.metadata.name}" in message
    assert len([event for event in running.cluster.events if event[2] == "ModelDeleted"]) == 1
    network.unreachable = False
    running.reconcile()
    assert_nothing_is_left(running)


def test_a_registry_that_is_away_keeps_the_record_of_the_claim(
    network: HospitalNetwork, running: FakeHospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.cluster.delete(running.model)
    running.start_operator()
    with monkeypatch.context() as patch:

        def fail(url: str, environment: object = None) -> None:
            raise UnreachableError(f"{url}: no answer")

        patch.setattr(network, "store", fail)
        running.start_operator()
        with pytest.raises(UnreachableError, match="no answer"):
            running.reconcile()
        assert (len(running.updates), running.backend.live_runs) == (1, [])
    running.start_operator()
    running.reconcile()
    assert_nothing_is_left(running)


def test_a_back_end_that_is_gone_does_not_hold_updates_that_have_ended(
    network: HospitalNetwork, running: FakeHospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.finish_runs()
    running.reconcile()
    assert [decided(update)[0] for update in running.updates] == ["Promoted"]
    running.cluster.delete(running.model)

    def fail(prefix: str) -> None:
        raise UnreachableError("the back end does not answer")

    monkeypatch.setattr(running.backend, "runs", fail)
    running.reconcile()
    assert running.updates == ()


def test_a_model_of_the_same_name_has_updates_and_runs_of_its_own(
    network: HospitalNetwork, running: FakeHospital
) -> None:
    (old_run,) = running.backend.live_runs
    (old_update,) = running.updates
    running.cluster.delete(running.model)
    create_model(running.cluster)
    running.reconcile()
    (update,) = running.updates
    assert update.metadata.name != old_update.metadata.name
    assert running.backend.runs_by_name[old_run].state is RunState.CANCELLED
    assert running.backend.live_runs == [f"{update.metadata.name}-1"]
    running.finish_runs()
    running.reconcile()
    assert running.states()["north"] == "Learned"
    assert [decided(update)[0] for update in running.updates] == ["Promoted"]


def test_a_run_that_cannot_be_ended_does_not_stop_the_next_model(
    network: HospitalNetwork, running: FakeHospital
) -> None:
    running.cluster.delete(running.model)
    create_model(running.cluster)
    network.unreachable = True
    running.reconcile()
    assert {decided(update)[0] for update in running.updates} == {"ModelDeleted"}
    ready = running.model.status.condition("Ready")
    assert ready
    assert ready.reason == "NoChampion", "the new model has a status of its own"
    network.unreachable = False
    running.run_update()
    assert running.states()["north"] == "Learned"
    assert len(running.updates) == 1


def test_an_old_finalizer_is_removed(running: FakeHospital) -> None:
    running.cluster.delete(running.model)
    create_model(running.cluster, finalizers=[RUNS_FINALIZER, FINALIZER_OF_OTHERS])
    running.reconcile()
    assert running.model.metadata.finalizers == (FINALIZER_OF_OTHERS,)


@pytest.mark.parametrize("finalizer", [RUNS_FINALIZER, FINALIZER_OF_OTHERS])
def test_a_model_that_a_finalizer_holds_counts_as_deleted(
    network: HospitalNetwork, hospital: FakeHospital, finalizer: str
) -> None:
    hospital.cluster.delete(hospital.model)
    create_model(hospital.cluster)
    network.add_data("north", "a")
    hospital.reconcile()
    model = hospital.model
    held = model.model_copy(update={"metadata": model.metadata.model_copy(update={"finalizers": (finalizer,)})})
    hospital.cluster._store("edit", held)
    hospital.cluster.delete(held)
    hospital.reconcile()
    assert_nothing_is_left(hospital)
    is_held = hospital.cluster.get(ContinualModel, SPACE, "chest") is not None
    assert is_held == (finalizer == FINALIZER_OF_OTHERS)


def test_an_update_whose_back_end_was_changed_is_created_again_with_the_new_place(
    network: HospitalNetwork, running: FakeHospital
) -> None:
    running.backend.end_run(running.backend.live_runs[0], RunState.INTERRUPTED)
    registry = running.model.spec.registry
    assert [update.spec.registry for update in running.updates] == [registry]
    changed_registry = registry.model_copy(update={"shared": True})
    running.edit_model(registry=changed_registry)
    running.reconcile()
    assert [update.spec.registry for update in running.updates] == [changed_registry]
    assert len(running.backend.live_runs) == 1


def test_the_deletion_of_a_model_is_noticed_at_once_and_after_a_restart(running: FakeHospital) -> None:
    model, (update,) = running.model, running.updates
    assert KEY in set(keys_for(ResourceChange(model, None), Cache()))
    cache = Cache()
    document = {**update.model_dump(mode="json", by_alias=True, exclude_none=True)}
    cache.put("ModelUpdate", document, 0)
    assert list(all_keys(cache)) == [KEY]
