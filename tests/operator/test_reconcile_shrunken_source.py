"""A site whose source lists much less than before."""

from datetime import timedelta

from fakes.hospital import FakeHospital, HospitalNetwork

from anamnesis.operator.api import condition_types
from anamnesis.operator.api.conditions import Condition
from anamnesis.records import CARRIED_FORWARD

HOLD = "the source no longer lists 45% of its earlier training samples"


def stalled(hospital: FakeHospital) -> Condition:
    (condition,) = [item for item in hospital.model.status.conditions if item.type == condition_types.STALLED]
    return condition


def test_a_source_that_shrank_is_held_alone_and_goes_on_by_itself(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.add_data("north", "complete")
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"
    network.now += timedelta(hours=1)
    network.holds["north"], network.extra_counts["north"] = HOLD, {CARRIED_FORWARD: 120}
    network.add_data("north", "half")
    network.add_data("south", "other")
    for _ in range(3):  # north, south, and north again on the new champion
        hospital.run_update()
    assert hospital.states() == {"north": "SourceShrank", "south": "Learned"}
    (north,) = [site for site in hospital.model.status.sites if site.name == "north"]
    assert north.message == HOLD
    assert "120 training samples that the source no longer lists stay learned; a few samples" in north.changes
    assert (stalled(hospital).status, stalled(hospital).reason) == ("True", "SourceShrank")
    assert HOLD in stalled(hospital).message
    updates = len(hospital.updates)
    hospital.request_update("north", 1)  # without another limit, a request finds the same
    hospital.run_update()
    assert (hospital.states()["north"], len(hospital.updates)) == ("SourceShrank", updates + 1)
    network.holds.clear()
    network.extra_counts.clear()
    network.now += timedelta(hours=1)
    network.add_data("north", "complete")
    hospital.run_update()
    hospital.run_update()
    assert hospital.states()["north"] == "Learned"
    assert stalled(hospital).status == "False"
