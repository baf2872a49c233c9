"""Statistics of sites: which site an image is like, how far it is, what is stored, and the limit of the distance."""

from decimal import Decimal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.records import MINIMUM_CELL_PATIENTS
from anamnesis.updates.site_features import SiteComparison, SiteFeatures, fit_distance_limit

SIZE, PATIENTS = 16, [str(number // 2) for number in range(80)]


def site_images(blur: int, seed: int, count: int = 80) -> Tensor:
    """Returns noise [count, 1, 16, 16]; sites differ by how smooth it is."""
    noise = torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return functional.avg_pool2d(noise, 2 * blur + 1, 1, blur)


def compare(features: SiteFeatures, blur: int, seed: int) -> SiteComparison:
    return features.compare(features.describe(site_images(blur, seed)))


@pytest.fixture(scope="module")
def two_sites() -> SiteFeatures:
    learned = SiteFeatures(1).learn("rough", site_images(0, 0), PATIENTS)
    return learned.learn("fine", site_images(1, 1), PATIENTS)


def test_an_image_is_assigned_to_its_site_and_others_are_far(two_sites: SiteFeatures) -> None:
    assert two_sites.sites == ("fine", "rough")
    for column, blur in enumerate((1, 0)):
        held_out, foreign = (compare(two_sites, value, 7) for value in (blur, 3))
        assert (held_out.log_probs.argmax(1) == column).float().mean() > 0.98
        limit = float(fit_distance_limit(held_out.distances[:, column], PATIENTS))
        fresh = compare(two_sites, blur, 8).distances[:, column]
        assert (fresh > limit).float().mean() < 0.15
        own_limit = two_sites.statistics[two_sites.sites[column]].distance_limit
        assert own_limit is not None
        assert (fresh > own_limit).float().mean() < 0.15, "also without held-out patients"
        assert (foreign.distances[:, column] > own_limit).float().mean() > 0.95
        assert (foreign.distances[:, column] > limit).float().mean() > 0.95


def test_statistics_are_equal_when_repeated_and_survive_storage(two_sites: SiteFeatures) -> None:
    repeated = SiteFeatures(1).learn("fine", site_images(1, 1), PATIENTS).learn("rough", site_images(0, 0), PATIENTS)
    blobs = two_sites.pack()
    assert repeated.pack() == blobs
    assert list(blobs) == ["site_features.fine", "site_features.rough"]
    restored = SiteFeatures.unpack(1, blobs)
    assert torch.allclose(compare(restored, 0, 9).distances, compare(two_sites, 0, 9).distances, rtol=1e-2)
    assert [statistics.distance_limit for statistics in restored.statistics.values()] == [
        statistics.distance_limit for statistics in two_sites.statistics.values()
    ]
    assert restored.pack() == blobs, "a version carries the bytes of its other sites forward"


def test_a_site_that_is_learned_again_replaces_its_statistics(two_sites: SiteFeatures) -> None:
    changed = two_sites.learn("fine", site_images(2, 5), PATIENTS).pack()
    assert changed["site_features.fine"] != two_sites.pack()["site_features.fine"]
    assert changed["site_features.rough"] == two_sites.pack()["site_features.rough"]


def test_a_small_site_is_recognised_beside_a_large_one() -> None:
    large = SiteFeatures(1).learn("large", site_images(0, 0, 400), [str(number) for number in range(400)])
    features = large.learn("small", site_images(1, 1, 20), PATIENTS[:20])
    assert (compare(features, 1, 3).log_probs.argmax(1) == 1).float().mean() > 0.95


def test_another_site_does_not_change_the_distance(two_sites: SiteFeatures) -> None:
    alone = SiteFeatures(1, {"rough": two_sites.statistics["rough"]})
    assert torch.equal(compare(alone, 0, 5).distances[:, 0], compare(two_sites, 0, 5).distances[:, 1])


def test_few_patients_leave_no_statistics(two_sites: SiteFeatures) -> None:
    few = [str(number % (MINIMUM_CELL_PATIENTS - 1)) for number in range(80)]
    assert two_sites.learn("fine", site_images(1, 1), few).sites == ("rough",)
    some = [str(number % 19) for number in range(80)]
    assert two_sites.learn("fine", site_images(1, 1), some).statistics["fine"].distance_limit is None
    assert compare(SiteFeatures(1), 1, 1).distances.shape == (80, 0)


def test_the_limit_counts_patients_and_not_images() -> None:
    patients = ["many"] * 100 + [str(number) for number in range(99)]
    distances = torch.cat([torch.full((100,), 9.0), torch.arange(99) / 100])
    assert fit_distance_limit(distances, patients) == Decimal("0.940000")
