"""Statistics of each learned site in frozen features: which site an image is like, and how far it is from it.

Every update computes them after training, for every method. A version carries those of its other sites forward. They
are means and covariances over at least ``MINIMUM_CELL_PATIENTS`` patients; ``docs/limits.md`` says what they reveal.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import torch
from safetensors.torch import load, save
from torch import Tensor

from anamnesis.methods.feature_cache import FeatureCache
from anamnesis.networks.image_descriptor import ImageDescriptor
from anamnesis.networks.network_digest import digest_network
from anamnesis.records import MINIMUM_CELL_PATIENTS, digest_json
from anamnesis.training.split_arrays.rows import Rows, SelectedRows, batches_of, predicted_at_once

PART_PREFIX = "site_features."
"""Part ``site_features.<site>`` of a version has the statistics of the site."""
LIMIT_SHARE = 0.95
"""Share of held-out patients' images within the limit of the distance."""
MINIMUM_LIMIT_PATIENTS = 20
"""With fewer training patients a site has no limit of its own."""
MAXIMUM_IMAGES = 50_000
"""Images of a site that are described: more change its mean and covariance little, and their features take memory."""
_FOLDS = 5
_REVISION = 1
_SMALLEST_VARIANCE = 3e-6
_DIAGONAL_PATIENTS = 0.03
"""Of the covariance behind the distance, this over the number of patients is diagonal: few patients know few directions
in which they differ. It uses no other site, so that a limit stays valid when another site is learned."""
_SHARED_IMAGES = 0.3
"""Times the number of features: to the covariance behind p(site | x) so many images of the mean site are added. Without
them, a site with fewer images than features is never recognised beside large ones."""


@dataclass(frozen=True, slots=True)
class SiteStatistics:
    """Statistics of a site's training images, D features each.

    Attributes:
        images: their number.
        patients: number of their patients.
        mean: [D].
        covariance: [D, D].
        distance_limit: cross-validated over its training patients; the limit where no operating point has one. None
            with fewer than ``MINIMUM_LIMIT_PATIENTS`` patients.
    """

    images: int
    patients: int
    mean: Tensor
    covariance: Tensor
    distance_limit: float | None = None


@dataclass(frozen=True, slots=True)
class SiteComparison:
    """How images compare with the learned sites.

    Attributes:
        log_probs: [N, S], log p(site | x) with equal priors.
        distances: [N, S], root mean square of the whitened differences of its textures from the site's mean:
            about 1 for its images.
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

    def learn(
        self, site: str, images: Rows, patients: Sequence[str], feature_cache: FeatureCache | None = None
    ) -> "SiteFeatures":
        """Returns these statistics with those of a site in place of its earlier ones.

        A site with fewer than ``MINIMUM_CELL_PATIENTS`` patients has none; of one with many images,
        ``MAXIMUM_IMAGES`` are described.

        Args:
            site: name.
            images: [N, C, H, W] in [0, 1], its training images.
            patients: [N], the patient of each image.
            feature_cache: keeps the features of the images.
        """
        statistics = {name: value for name, value in self.statistics.items() if name != site}
        patient_count = len(set(patients))
        if patient_count < MINIMUM_CELL_PATIENTS:
            return SiteFeatures(self.channels, statistics)
        rows = _choose_rows(patients)
        features, patients = self.describe(SelectedRows(images, rows), feature_cache), [patients[row] for row in rows]
        patient_count = len(set(patients))
        limit = self._cross_validate_limit(features, patients) if patient_count >= MINIMUM_LIMIT_PATIENTS else None
        statistics[site] = replace(_summarise(features, patient_count), distance_limit=limit)
        return SiteFeatures(self.channels, statistics)

    def _cross_validate_limit(self, features: Tensor, patients: Sequence[str]) -> float:
        """Returns the limit of the distance of each fold's patients to the statistics of the other folds."""
        numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
        folds = torch.tensor([numbers[patient] % _FOLDS for patient in patients])
        width, distances = self._descriptor.texture_width, features.new_zeros(len(features))
        for fold in range(_FOLDS):
            is_out = folds == fold
            fold_patients = len(range(fold, len(numbers), _FOLDS))
            statistics = _summarise(features[~is_out], len(numbers) - fold_patients)
            distances[is_out] = _distance(features[is_out, :width], statistics, width)
        return float(fit_distance_limit(distances, patients))

    def describe(self, images: Rows, feature_cache: FeatureCache | None = None) -> Tensor:
        """Maps images [N, C, H, W] in [0, 1], or the middle slices of volumes, to features [N, D] in float64.

        It runs on the processor, an image at a time, so that equal images have equal bits everywhere.
        """

        def compute(slices: Tensor) -> Tensor:
            return torch.cat([self._descriptor(image) for image in torch.split(slices, 1)])

        space = digest_json({"revision": _REVISION, "network": digest_network(self._descriptor)})
        chunks = (_middle_slices(chunk.cpu()) for chunk in batches_of(images, predicted_at_once(images)))
        features = (feature_cache(space, chunk, compute) if feature_cache else compute(chunk) for chunk in chunks)
        return torch.cat(tuple(features)).double()

    def compare(self, features: Tensor) -> SiteComparison:
        """Compares images with the sites, by their features [N, D] from ``describe``."""
        if not self.statistics:
            return SiteComparison(features.new_zeros(len(features), 0), features.new_zeros(len(features), 0))
        shared = torch.stack([statistics.covariance.double() for statistics in self.statistics.values()]).mean(0)
        width = self._descriptor.texture_width
        log_densities = [_log_density(features, statistics, shared) for statistics in self.statistics.values()]
        distances = [_distance(features[:, :width], statistics, width) for statistics in self.statistics.values()]
        return SiteComparison(torch.stack(log_densities, dim=1).log_softmax(1), torch.stack(distances, dim=1))

    def pack(self) -> dict[str, bytes]:
        """Returns part name -> bytes."""
        return {PART_PREFIX + site: _pack(statistics) for site, statistics in self.statistics.items()}

    @classmethod
    def unpack(cls, channels: int, blobs: Mapping[str, bytes]) -> "SiteFeatures":
        """Returns what ``pack`` packed; statistics of another revision of the features are left out."""
        unpacked = {part.removeprefix(PART_PREFIX): _unpack(blob) for part, blob in blobs.items()}
        return cls(channels, {site: statistics for site, statistics in unpacked.items() if statistics})


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


def _middle_slices(images: Tensor) -> Tensor:
    """Returns [N, C, H, W] as it is, and of volumes [N, C, D, H, W] the middle slices."""
    return images[:, :, images.shape[2] // 2] if images.dim() == 5 else images


def _choose_rows(patients: Sequence[str]) -> list[int]:
    """Returns up to ``MAXIMUM_IMAGES`` rows, sorted: the first image of each patient, then the second ones."""
    counts: Counter[str] = Counter()
    numbers = []
    for row, patient in enumerate(patients):
        numbers.append((counts[patient], row))
        counts[patient] += 1
    return sorted(row for _, row in sorted(numbers)[:MAXIMUM_IMAGES])


def _summarise(features: Tensor, patients: int) -> SiteStatistics:
    return SiteStatistics(len(features), patients, features.mean(0), torch.cov(features.T))


def _log_density(features: Tensor, statistics: SiteStatistics, shared_covariance: Tensor) -> Tensor:
    """Returns the log density [N] of features [N, D] up to a constant."""
    shared_images = _SHARED_IMAGES * features.shape[1]
    share = shared_images / (statistics.images + shared_images)
    covariance = torch.lerp(statistics.covariance.double(), shared_covariance, share)
    squares, log_scale = _whiten(features - statistics.mean.double(), covariance)
    return -squares.sum(0) / 2 - log_scale


def _distance(textures: Tensor, statistics: SiteStatistics, width: int) -> Tensor:
    """Returns the distance [N] of the first features [N, width]."""
    covariance = statistics.covariance[:width, :width].double()
    shrunken = torch.lerp(covariance, covariance.diagonal().diag(), _DIAGONAL_PATIENTS / statistics.patients)
    return _whiten(textures - statistics.mean[:width].double(), shrunken)[0].mean(0).sqrt()


def _whiten(differences: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the squares [D, N] of whitened differences [N, D], and half the logarithm of the determinant."""
    factor = torch.linalg.cholesky(covariance + _SMALLEST_VARIANCE * torch.eye(len(covariance), dtype=torch.float64))
    squares = torch.linalg.solve_triangular(factor, differences.T, upper=False).square()
    return squares, factor.diagonal().log().sum()


def _pack(statistics: SiteStatistics) -> bytes:
    rows, columns = torch.tril_indices(*statistics.covariance.shape)
    counts = torch.tensor([_REVISION, statistics.images, statistics.patients])
    triangle = statistics.covariance[rows, columns].float()
    tensors = {"counts": counts, "mean": statistics.mean.float(), "covariance": triangle}
    if statistics.distance_limit is not None:
        tensors["limit"] = torch.tensor([statistics.distance_limit], dtype=torch.float64)
    return save(tensors)


def _unpack(blob: bytes) -> SiteStatistics | None:
    tensors = load(blob)
    revision, images, patients = tensors["counts"].tolist()
    if revision != _REVISION:
        return None
    width = len(tensors["mean"])
    rows, columns = torch.tril_indices(width, width)
    covariance = torch.zeros(width, width)
    covariance[rows, columns] = covariance[columns, rows] = tensors["covariance"]
    limit = float(tensors["limit"]) if "limit" in tensors else None
    return SiteStatistics(images, patients, tensors["mean"], covariance, limit)
