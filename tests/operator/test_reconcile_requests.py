"""Requests of people for an update, by the command line: each is answered or refused with a reason."""

from typing import cast

import pytest
from fakes.hospital import SPACE, FakeHospital, HospitalNetwork, model_document
from fakes.memory_cluster import MemoryConnection

from anamnesis.cli.cluster.connection import Connection
from anamnesis.cli.cluster.update_requests import STATUS_TIMEOUT_SECONDS, RequestedUpdate, request_update
from anamnesis.operator.api import ContinualModel
from anamnesis.operator.plan import SiteState
from anamnesis.records import UnreachableError


class Wait:
    """Time of a command that waits: it passes only while the command sleeps."""

    def __init__(self, hospital: FakeHospital, operator_is_up: bool) -> None:
        self.hospital, self.operator_is_up, self.seconds = hospital, operator_is_up, 0.0

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self.operator_is_up:
            self.hospital.reconcile()


def command_update(hospital: FakeHospital, site: str, operator_is_up: bool = True) -> RequestedUpdate:
    """Does what ``anamnesis update`` does."""
    wait = Wait(hospital, operator_is_up)
    connection = cast(Connection, MemoryConnection(hospital.cluster, SPACE))
    return request_update(connection, "chest", site, clock=wait.clock, sleep=wait.sleep)


def recreate_model(hospital: FakeHospital) -> None:
    """Deletes the model, whose ModelUpdates go with it, and applies it again on its registry."""
    hospital.cluster.delete(hospital.model)
    hospital.reconcile()
    assert hospital.updates == ()
    hospital.cluster.create(ContinualModel.model_validate(model_document({}, hospital.sites)))


def test_a_request_after_the_model_was_deleted_and_applied_again_starts_a_run(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "bad", quality="0.2")
    hospital.run_update()
    assert command_update(hospital, "north").counter == 1
    hospital.run_update()
    assert hospital.states()["north"] == SiteState.REJECTED
    runs = len(hospital.backend.submitted)
    recreate_model(hospital)
    hospital.reconcile()
    assert hospital.model.status.sites[0].answered_request == 1, "the registry has its result"
    assert command_update(hospital, "north").counter == 2
    hospital.reconcile()
    assert len(hospital.backend.submitted) == runs + 1
    assert hospital.states()["north"] == SiteState.UPDATING
    hospital.finish_runs()
    hospital.reconcile()
    north_status = hospital.model.status.site("north")
    assert north_status
    assert north_status.answered_request == 2


def test_a_request_waits_until_the_operator_has_reported_on_the_model(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "a")
    hospital.run_update()
    command_update(hospital, "north")
    hospital.run_update()
    recreate_model(hospital)
    assert command_update(hospital, "north").counter == 2


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "changed"])
def test_a_request_is_refused_while_the_operator_does_not_report(hospital: FakeHospital, is_new: bool) -> None:
    if not is_new:
        hospital.reconcile()
        hospital.edit_model(state="Suspended")
    generation, observed_generation = (1, -1) if is_new else (2, 1)
    with pytest.raises(UnreachableError) as refusal:
        command_update(hospital, "north", operator_is_up=False)
    assert str(refusal.value).startswith(
        f"ContinualModel chest: the operator has not reported on site north of generation {generation} "
        f"(status.observedGeneration is {observed_generation})"
    )
    assert hospital.model.metadata.annotations == {}


def test_an_operator_that_reports_in_time_is_waited_for(hospital: FakeHospital) -> None:
    wait = Wait(hospital, operator_is_up=True)
    connection = cast(Connection, MemoryConnection(hospital.cluster, SPACE))
    request_update(connection, "chest", "south", clock=wait.clock, sleep=wait.sleep)
    assert 0 < wait.seconds < STATUS_TIMEOUT_SECONDS
    assert hospital.model.metadata.annotations == {"update.anamnesis.dev/south": "1"}
