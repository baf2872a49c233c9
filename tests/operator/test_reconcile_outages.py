"""Back ends, registries and API servers that do not answer, and logs that were changed."""

from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from fakes.hospital import FakeHospital, HospitalNetwork, model_document

from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.api.annotations import LOST_LOG_HEAD
from anamnesis.operator.api.condition_types import BACKEND_REACHABLE, READY
from anamnesis.operator.backends.base import Backend
from anamnesis.operator.controllers.continualmodel.controller import ModelReconciler
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.plan.planning import REFUSAL_RETRY_INTERVAL, SERVER_RETRY_INTERVAL
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.registry import Log, verify_log

KEY = ReconcileKey("ContinualModel", "hospital", "chest")


def test_a_back_end_that_does_not_answer_is_told_and_all_goes_on_after(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    network.unreachable = True
    assert hospital.reconcile()
    reachable = hospital.model.status.condition(BACKEND_REACHABLE)
    assert reachable
    assert (reachable.status, reachable.reason) == ("False", "Unreachable")
    network.unreachable = False
    hospital.finish_runs()
    hospital.reconcile()
    assert hospital.states()["north"] == "Learned"
    assert hospital.model.status.is_true(BACKEND_REACHABLE)


def test_a_back_end_that_has_never_answered_is_not_taken_for_a_silent_registry(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    def unreachable(model: LoadedResource[ContinualModel]) -> Backend:
        raise UnreachableError("Kubeflow Pipelines does not answer")

    options = ReconcileOptions({}, Path("/nowhere"), unreachable, network.store)
    ModelReconciler(hospital.cluster, network.clock, options).reconcile(KEY)
    reachable = hospital.model.status.condition(BACKEND_REACHABLE)
    assert reachable
    assert reachable.reason == "Unreachable"
    ready = hospital.model.status.condition(READY)
    assert (ready and ready.reason) == "NoChampion"


def test_a_registry_that_is_back_is_not_shown_as_away_because_the_back_end_is(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    def raise_unreachable(*arguments: object) -> NoReturn:
        raise UnreachableError("no answer")

    network.add_data("north", "a")
    hospital.run_update()
    for backends, stores, ready in (
        (raise_unreachable, raise_unreachable, False),
        (raise_unreachable, network.store, True),
    ):
        options = ReconcileOptions({}, Path("/nowhere"), backends, stores)
        ModelReconciler(hospital.cluster, network.clock, options).reconcile(KEY)
        assert hospital.model.status.is_true(READY) is ready
    assert not hospital.model.status.is_true(BACKEND_REACHABLE)


def test_an_api_server_that_does_not_answer_raises_and_changes_nothing(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.poll_sites()
    hospital.cluster.down = True
    with pytest.raises(UnreachableError):
        hospital.reconciler.reconcile(KEY)
    hospital.cluster.down = False
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"


def test_a_damaged_log_stops_everything_and_says_so(network: HospitalNetwork, hospital: FakeHospital) -> None:
    network.add_data("north", "a")
    hospital.run_update()
    hospital.start_operator()
    store = hospital.registry
    key = next(info.key for info in store.list("log/"))
    store.put(key, store.get(key).replace(b"update", b"upsate"))
    hospital.reconcile()
    ready = hospital.model.status.condition(READY)
    assert ready
    assert (ready.status, ready.reason) == ("False", "RegistryDamaged")


def test_a_log_that_was_cut_is_found_by_the_head_in_the_status(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.run_update()
    hospital.start_operator()
    store = hospital.registry
    store.delete(max(info.key for info in store.list("log/")))
    hospital.reconcile()
    ready = hospital.model.status.condition(READY)
    assert ready
    assert (ready.status, ready.reason) == ("False", "RegistryDamaged")
    assert len(Log(store).entries()) == 1, "nothing was written on top"


def test_after_a_restore_of_an_older_copy_a_person_lets_the_model_go_on(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    def restore(copy: dict[str, bytes]) -> None:
        hospital.registry.objects.clear()
        hospital.registry.objects.update(copy)
        hospital.reconcile()

    network.add_data("north", "a")
    hospital.run_update()
    copy, champion = dict(hospital.registry.objects), hospital.history().champion
    network.add_data("north", "b")
    hospital.run_update()
    assert hospital.history().champion != champion
    restore(copy)
    ready = hospital.model.status.condition(READY)
    assert (ready and ready.reason) == "RegistryDamaged"
    head = hospital.model.status.log_head
    assert head
    assert ready
    assert f"{LOST_LOG_HEAD}={head.number}:{head.digest}" in ready.message

    annotate(hospital, LOST_LOG_HEAD, f"{head.number}:{head.digest}")
    hospital.run_update()  # the same process: what it remembers of entries that are lost must not come back
    network.now += timedelta(minutes=1)
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"
    assert hospital.history().champion != champion
    assert verify_log(hospital.registry) == ()
    head = hospital.model.status.log_head
    assert head
    assert str(Log(hospital.registry).head()) == f"{head.number}:{head.digest}"

    restore(copy)
    ready = hospital.model.status.condition(READY)
    assert (ready and ready.reason) == "RegistryDamaged", "a word about one loss is none about the next"


def annotate(hospital: FakeHospital, name: str, value: str) -> None:
    metadata = hospital.model.metadata
    changed = metadata.model_copy(update={"annotations": {**metadata.annotations, name: value}})
    hospital.cluster.edit(hospital.model.model_copy(update={"metadata": changed}))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnreachableError("no answer"), "Unreachable"),
        (InputError("another server answers"), "InvalidSpec"),
        (RefusedError("its token has run out"), "Refused"),
    ],
)
def test_a_back_end_that_cannot_be_made_stops_its_own_model_only_and_loses_nothing(
    network: HospitalNetwork, hospital: FakeHospital, error: AnamnesisError, reason: str
) -> None:
    def backends(model: LoadedResource[ContinualModel]) -> Backend:
        if model.name == "chest":
            raise error
        return hospital.backend

    network.add_data("north", "a")
    hospital.reconcile()
    (run,) = hospital.backend.live_runs
    other_model = model_document({"registry": {"url": "s3://models/head"}}, ("south",))
    other_model["metadata"]["name"] = "head"
    hospital.cluster.create(ContinualModel.model_validate(other_model))
    network.add_data("south", "b")
    hospital.poll_sites()
    reconcile = ModelReconciler(
        hospital.cluster, network.clock, ReconcileOptions({}, Path("/nowhere"), backends, network.store)
    ).reconcile
    for _ in range(2):  # before the runs' work, and after it
        assert reconcile(KEY) == (SERVER_RETRY_INTERVAL if reason == "Unreachable" else REFUSAL_RETRY_INTERVAL)
        reconcile(ReconcileKey("ContinualModel", "hospital", "head"))
        condition = hospital.model.status.condition(BACKEND_REACHABLE)
        assert condition
        assert (condition.status, condition.reason, condition.message) == ("False", reason, str(error))
        hospital.finish_runs()
    head = hospital.cluster.get(ContinualModel, "hospital", "head")
    assert head
    assert [site.state for site in head.status.sites] == ["Learned"]
    hospital.reconcile()
    assert hospital.states()["north"] == "Learned"
    assert hospital.model.status.is_true(BACKEND_REACHABLE)
    assert [f"{update.metadata.name}-1" for update in hospital.updates if update.spec.site == "north"] == [run]
