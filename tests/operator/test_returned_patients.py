"""The condition TestPatientReturned."""

from datetime import timedelta

from fakes.hospital import FakeHospital, HospitalNetwork

from anamnesis.operator.api import condition_types
from anamnesis.records import RETURNED_IMAGES


def test_returned_test_patients_are_a_condition_until_the_next_run(
    network: HospitalNetwork, hospital: FakeHospital
) -> None:
    network.extra_counts["north"] = {RETURNED_IMAGES: 6}
    network.add_data("north", "a", quality="0.91")
    hospital.run_update()
    hospital.reconcile()
    (condition,) = [c for c in hospital.model.status.conditions if c.type == condition_types.TEST_PATIENT_RETURNED]
    assert condition.status == "True"
    assert "north: 6 images are copies of images of test or calibration patients" in condition.message
    network.extra_counts.clear()
    network.now += timedelta(hours=1)
    network.add_data("north", "b", quality="0.92")
    hospital.run_update()
    hospital.reconcile()
    (condition,) = [c for c in hospital.model.status.conditions if c.type == condition_types.TEST_PATIENT_RETURNED]
    assert condition.status == "False"
