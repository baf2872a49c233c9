"""A model's state is plain: once it is read, plan and statuses need neither registry nor back end."""

import pickle
from collections import Counter
from pathlib import Path

import pytest
from fakes.hospital import SPACE, FakeHospital, HospitalNetwork
from fakes.memory_store import MemoryStore

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.condition_types import READY, STALLED
from anamnesis.operator.api.training import TrainingSpec
from anamnesis.operator.controllers.continualmodel.conditions import model_status, update_status
from anamnesis.operator.controllers.continualmodel.plan_input import build_plan_input
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.controllers.continualmodel.state_reader import StateReader
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.registries import Registries
from anamnesis.operator.plan import plan
from anamnesis.records import UnreachableError


def read_state(network: HospitalNetwork, hospital: FakeHospital) -> ModelState:
    options = ReconcileOptions({}, Path("/nowhere"), lambda model: hospital.backend, network.store)
    reader = StateReader(hospital.cluster, network.clock, options, Registries(hospital.cluster, network.clock, options))
    return reader.read(LoadedResource(hospital.model, Path(f"/{SPACE}/chest")))[0]


def test_a_state_without_registry_and_back_end_gives_the_same_plan_and_statuses(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"evaluation": {"schedule": {"cron": "0 * * * *"}}})
    network.add_data("north", "a")
    hospital.run_update()
    network.add_data("south", "b")
    hospital.reconcile()
    hospital.finish_runs()  # the gate decides next

    state = read_state(network, hospital)
    assert state.gate_decisions
    copied_state = pickle.loads(pickle.dumps(state))  # noqa: S301  # a store or a back end cannot be pickled
    assert copied_state == state
    network.stores.clear()
    network.unreachable = True
    plan_input = build_plan_input(copied_state)
    actions, planned_status = plan(state.model.resource.spec, plan_input, state.now)
    assert [type(action).__name__ for action in actions] == ["RecordDecision"]
    status = model_status(copied_state, plan_input, planned_status)
    assert [task.site for task in status.tasks] == ["north"]
    for update in copied_state.updates:
        update_status(copied_state, update, planned_status.updates[update.metadata.name], plan_input)


def test_the_status_says_that_a_rate_that_nobody_set_is_kept(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {"training": {"learningRate": "0.003"}})
    network.add_data("north", "a")
    hospital.run_update()
    assert hospital.model.status.learning_rate == "0.003"
    hospital.edit_model(training=TrainingSpec())
    hospital.reconcile()
    assert hospital.model.status.learning_rate.startswith("0.003: spec.training.learningRate is not set")


def test_an_idle_model_costs_few_reads(
    network: HospitalNetwork, hospital: FakeHospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    for site in ("north", "south"):
        network.add_data(site, site)
        hospital.run_update()
    hospital.reconcile()
    reads: Counter[str] = Counter()
    for name in ("get", "list"):
        method = getattr(MemoryStore, name)

        def counted(store: MemoryStore, *arguments: str, method: object = method, name: str = name, **keywords: str):  # type: ignore[no-untyped-def]
            reads[name] += 1
            return method(store, *arguments, **keywords)  # type: ignore[operator]

        monkeypatch.setattr(MemoryStore, name, counted)
    hospital.reconcile()
    # Log, results, scheduled evaluations, the test sets of two sites, the evaluations of the champion.
    assert reads == {"list": 6}


def test_an_unreachable_store_of_a_site_does_not_stop_a_roll_back(
    network: HospitalNetwork, hospital: FakeHospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in ("a", "b"):
        network.add_data("north", content)
        hospital.run_update()
    first_champion, second_champion = hospital.history().promoted_versions
    assert hospital.history().champion == second_champion
    hospital.create_approval("RollBack", first_champion)

    def fail(key: str, after: str = "") -> None:
        raise UnreachableError("the bucket of north does not respond")

    monkeypatch.setattr(network.stores["s3://images/north"], "list", fail)
    hospital.reconcile()
    assert hospital.history().champion == first_champion
    network.add_data("south", "c")
    hospital.reconcile()
    status = hospital.model.status
    stalled, south = status.condition(STALLED), status.site("south")
    assert status.is_true(READY), "the champion is in use"
    assert stalled
    assert south
    assert (stalled.reason, stalled.message) == ("StoreUnreadable", "the bucket of north does not respond")
    assert (south.state, hospital.backend.live_runs) == ("Queued", [])
    assert "the bucket of north does not respond" in south.message
    assert [task.site for task in status.tasks] == ["north"], "the last scores stay"
    monkeypatch.undo()
    hospital.run_update()
    assert hospital.states()["south"] == "Learned"
