"""Where images may lie: nowhere that only a laptop finds, and not among weights."""

import pytest
from toys.hospital import SPACE, Hospital, Network

from anamnesis.operator.api import Site


def put(hospital: Hospital, store: str) -> None:
    site = hospital.cluster.get(Site, SPACE, "south")
    assert site
    hospital.cluster.edit(site.model_copy(update={"spec": site.spec.model_copy(update={"store": store})}))


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("images/south", "expected s3://... or file:///... on a cluster, found 'images/south'"),
        ("s3://models/chest", "s3://models/chest and the registry lie in each other"),
        ("s3://models/chest/images/", "who may read weights would find images there"),
        ("s3://models", "name a bucket or folder that only this site's steps can read"),
    ],
)
def test_a_store_that_lies_wrong_is_refused_before_an_image_is_read(
    network: Network, hospital: Hospital, store: str, said: str
) -> None:
    put(hospital, store)
    network.drop("south", "a")
    hospital.reconcile()
    ready = hospital.model.status.condition("Ready")
    assert ready
    assert (ready.status, ready.reason) == ("False", "InvalidSpec")
    assert ready.message.startswith("Site south: spec.store: ")
    assert said in ready.message
    assert (hospital.updates, hospital.backend.submitted) == ((), [])


@pytest.mark.parametrize("store", ["s3://models/chest-images", "s3://images/", "file:///images"])
def test_a_store_beside_the_registry_is_its_peoples_choice(network: Network, hospital: Hospital, store: str) -> None:
    put(hospital, store)
    network.drop("south", "a")
    hospital.learn()
    assert hospital.states()["south"] == "Learned"
