"""Where a store of images may be: not at a relative path, and not inside the registry."""

import pytest
from fakes.hospital import SPACE, FakeHospital, HospitalNetwork

from anamnesis.operator.api import Site
from anamnesis.operator.api.condition_types import READY


def set_store(hospital: FakeHospital, store: str) -> None:
    site = hospital.cluster.get(Site, SPACE, "south")
    assert site
    hospital.cluster.edit(site.model_copy(update={"spec": site.spec.model_copy(update={"store": store})}))


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("images/south", "expected s3://... or file:///... on a cluster, found 'images/south'"),
        ("s3://models/chest", "s3://models/chest overlaps the registry"),
        ("s3://models/chest/images/", "users who may read weights could read images"),
        ("s3://models", "use a bucket or folder that only the steps of this site can read"),
    ],
)
def test_a_misplaced_store_is_refused_before_an_image_is_read(
    network: HospitalNetwork, hospital: FakeHospital, store: str, message: str
) -> None:
    set_store(hospital, store)
    network.add_data("south", "a")
    hospital.reconcile()
    ready = hospital.model.status.condition(READY)
    assert ready
    assert (ready.status, ready.reason) == ("False", "InvalidSpec")
    assert ready.message.startswith("Site south: spec.store: ")
    assert message in ready.message
    assert (hospital.updates, hospital.backend.submitted) == ((), [])


@pytest.mark.parametrize("store", ["s3://models/chest-images", "s3://images/", "file:///images"])
def test_a_store_beside_the_registry_is_its_peoples_choice(
    network: HospitalNetwork, hospital: FakeHospital, store: str
) -> None:
    set_store(hospital, store)
    network.add_data("south", "a")
    hospital.run_update()
    assert hospital.states()["south"] == "Learned"
