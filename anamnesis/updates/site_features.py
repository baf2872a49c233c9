"""Statistics of each learned site in frozen features: which site an image is like, and how far it is from it.

Every update computes them after training, for every method. A version carries those of its other sites forward. They
are means and covariances over at least ``MINIMUM_CELL_PATIENTS`` patients; ``docs/limits.md`` says what they reveal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch
from safetensors.torch import load, save
from torch import Tensor

from anamnesis.networks.image_descriptor import ImageDescriptor
from anamnesis.records import MINIMUM_CELL_PATIENTS

PART_PREFIX = "site_features."
"""Part ``site_features.<site>`` of a version has the statistics of the site."""
LIMIT_SHARE = 0.95
"""Share of held-out patients' images within the limit of the distance."""
_REVISION = 1
_BATCH_SIZE = 64
_DIAGONAL_SHARE = 1e-3
_SMALLEST_VARIANCE = 1e-5


@dataclass(frozen=True, slots=True)
class SiteStatistics:
    """Statistics of a site's training images, D features each.

    Attributes:
        images: their number.
        patients: number of their patients.
        mean: [D].
        covariance: [D, D].
    """

    images: int
    patients: int
    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True, slots=True)
class SiteComparison:
    """How images compare with the learned sites.

    Attributes:
        log_probs: [N, S], log p(site | x) with equal priors.
        distances: [N, S], root mean square of the whitened differences from the site's mean; about 1 for its images.
    """

    log_probs: Tensor
    distances: Tensor


class SiteFeatures:
    """The statistics of all learned sites that have any.

    Attributes:
        statistics: site -> statistics, in the order of the sites' names.
    """

    def __init__(self, channels: int, statistics: Mapping[str, SiteStatistics] | None = None) -> None:
        self.channels, self.statistics = channels, dict(sorted((statistics or {}).items()))
        self._descriptor = ImageDescriptor(channels)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites with statistics: the columns of a comparison."""
        return tuple(self.statistics)

    def learn(self, site: str, images: Tensor, patients: Sequence[str]) -> "SiteFeatures":
        """Returns these statistics with those of a site in place of its earlier ones.

        A site with fewer than ``MINIMUM_CELL_PATIENTS`` patients has none.

        Args:
            site: name.
            images: [N, C, H, W] in [0, 1], its training images.
            patients: [N], the patient of each image.
        """
        statistics = {name: value for name, value in self.statistics.items() if name != site}
        patient_count = len(set(patients))
        if patient_count < MINIMUM_CELL_PATIENTS:
            return SiteFeatures(self.channels, statistics)
        features = self._describe(images)
        mean, covariance = features.mean(0), torch.cov(features.T)
        statistics[site] = SiteStatistics(len(features), patient_count, mean, covariance)
        return SiteFeatures(self.channels, statistics)

    def compare(self, images: Tensor) -> SiteComparison:
        """Compares images [N, C, H, W] in [0, 1] with the sites."""
        features = self._describe(images)
        if not self.statistics:
            return SiteComparison(features.new_zeros(len(features), 0), features.new_zeros(len(features), 0))
        columns = [_compare_with_site(features, statistics) for statistics in self.statistics.values()]
        log_densities, distances = (torch.stack(values, dim=1) for values in zip(*columns, strict=True))
        return SiteComparison(log_densities.log_softmax(1), distances)

    def pack(self) -> dict[str, bytes]:
        """Returns part name -> bytes."""
        return {PART_PREFIX + site: _pack(statistics) for site, statistics in self.statistics.items()}

    @classmethod
    def unpack(cls, channels: int, blobs: Mapping[str, bytes]) -> "SiteFeatures":
        """Returns what ``pack`` packed; statistics of another revision of the features are left out."""
        unpacked = {part.removeprefix(PART_PREFIX): _unpack(blob) for part, blob in blobs.items()}
        return cls(channels, {site: statistics for site, statistics in unpacked.items() if statistics})

    def _describe(self, images: Tensor) -> Tensor:
        """Maps images [N, C, H, W] to features [N, D] in float64, on the processor: equal images give equal bits."""
        chunks = [self._descriptor(chunk.cpu()) for chunk in torch.split(images, _BATCH_SIZE)]
        return torch.cat(chunks).double()


def fit_distance_limit(distances: Tensor, patients: Sequence[str]) -> Decimal:
    """Returns the distance that a share ``LIMIT_SHARE`` of held-out images is within; every patient has equal weight.

    Args:
        distances: [N], of images of held-out patients to their site.
        patients: [N], the patient of each image.
    """
    rows = {patient: row for row, patient in enumerate(dict.fromkeys(patients))}
    patient_rows = torch.tensor([rows[patient] for patient in patients])
    weights = 1 / torch.bincount(patient_rows)[patient_rows].double()
    order = distances.argsort(stable=True)
    shares = weights[order].cumsum(0) / len(rows)
    position = int(torch.searchsorted(shares, LIMIT_SHARE - 1e-9))
    return Decimal(f"{float(distances[order][min(position, len(order) - 1)]):.6f}")


def _compare_with_site(features: Tensor, statistics: SiteStatistics) -> tuple[Tensor, Tensor]:
    """Returns the log density [N] of features [N, D] up to a constant, and the distance [N]."""
    covariance = statistics.covariance.double()
    variances = covariance.diagonal()
    shrunken = (1 - _DIAGONAL_SHARE) * covariance
    shrunken = shrunken + torch.diag(_DIAGONAL_SHARE * variances + _SMALLEST_VARIANCE)
    factor = torch.linalg.cholesky(shrunken)
    differences = (features - statistics.mean.double()).T
    squares = torch.linalg.solve_triangular(factor, differences, upper=False).square()
    return -squares.sum(0) / 2 - factor.diagonal().log().sum(), squares.mean(0).sqrt()


def _pack(statistics: SiteStatistics) -> bytes:
    counts = torch.tensor([_REVISION, statistics.images, statistics.patients])
    tensors = {"mean": statistics.mean.float(), "covariance": statistics.covariance.float()}
    return save({"counts": counts, **tensors})


def _unpack(blob: bytes) -> SiteStatistics | None:
    tensors = load(blob)
    revision, images, patients = tensors["counts"].tolist()
    if revision != _REVISION:
        return None
    return SiteStatistics(images, patients, tensors["mean"], tensors["covariance"])
