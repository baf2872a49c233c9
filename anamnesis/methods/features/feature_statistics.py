"""Sums over images in frozen features, and the linear discriminant that follows from them.

The sums of the sites add up to those of all sites at once, so learning site by site gives the same result and forgets
nothing: streaming linear discriminant analysis (Hayes and Kanan, CVPR workshops 2020).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from anamnesis.methods.base import PATIENT, Data, TaskContext
from anamnesis.records import Split


class FeatureStatistics:
    """Statistics of features with a one appended, in float64, on one device.

    Attributes:
        gram: [D + 1, D + 1] sum of outer products; its last entry counts the images.
        sums: [K, D + 1] sum of the features of each class; the last column counts its images.
        patients: their number, a scalar.
    """

    def __init__(self, features: int, classes: int = 0, device: torch.device | str = "cpu") -> None:
        self.gram = torch.zeros(features + 1, features + 1, dtype=torch.float64, device=device)
        self.sums = torch.zeros(classes, features + 1, dtype=torch.float64, device=device)
        self.patients = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.sums.shape[0]

    @property
    def means(self) -> Tensor:
        """[K, D] mean feature of each class; zeros for a class without images."""
        return self.sums[:, :-1] / self.sums[:, -1:].clamp_min(1)

    def grow(self, classes: int) -> None:
        """Appends empty classes until there are ``classes``."""
        new_count = max(0, classes - self.classes)
        self.sums = torch.cat([self.sums, self.sums.new_zeros(new_count, self.sums.shape[1])])

    def to(self, device: torch.device | str) -> None:
        """Moves the statistics."""
        self.gram, self.sums, self.patients = self.gram.to(device), self.sums.to(device), self.patients.to(device)

    @torch.no_grad()
    def add(self, features: Tensor, targets: Tensor) -> None:
        """Adds features [N, D] of images of the classes ``targets`` [N]."""
        extended_features = features.to(self.gram)
        extended_features = torch.cat([extended_features, extended_features.new_ones(len(extended_features), 1)], dim=1)
        self.gram += extended_features.T @ extended_features
        self.sums += torch.nn.functional.one_hot(targets, self.classes).to(extended_features).T @ extended_features

    def solve_discriminant(self, ridge: float) -> Tensor:
        """Returns weights [K, D + 1] of the linear discriminant with equal class priors, the bias last, in float64.

        Args:
            ridge: added to the diagonal of the scatter within classes, so that it can be inverted.
        """
        means, count = self.means, self.gram[-1, -1].clamp_min(1)
        within_scatter = self.gram[:-1, :-1] - (means * self.sums[:, -1:]).T @ means
        within_scatter = (within_scatter + ridge * torch.eye(len(within_scatter)).to(within_scatter)) / count
        weights = torch.linalg.solve(within_scatter, means.T).T
        return torch.cat([weights, -0.5 * (weights * means).sum(1, keepdim=True)], dim=1)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the statistics."""
        return {"gram": self.gram, "sums": self.sums, "patients": self.patients}

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Restores what ``state_dict`` returned."""
        self.gram, self.sums, self.patients = (state[name].to(device) for name in ("gram", "sums", "patients"))


def linear_logits(features: Tensor, weights: Tensor) -> Tensor:
    """Returns logits [N, K] of features [N, D] under weights [K, D + 1], the bias last; never in half precision."""
    with torch.autocast(features.device.type, enabled=False):
        cast_weights = weights.to(features)
        return torch.nn.functional.linear(features, cast_weights[:, :-1], cast_weights[:, -1])


@torch.no_grad()
def measure_statistics(
    name: str,
    spaces: Mapping[str, tuple[FeatureStatistics, Callable[[Tensor], Tensor]]],
    context: TaskContext,
    data: Data,
) -> None:
    """Adds the training images of a task to empty statistics, in one pass; a killed update does not repeat it.

    Args:
        name: of the pass, unique in the update.
        spaces: name of each feature space -> its empty statistics, and images [N, C, ...] to its features [N, D]; the
            classes of the statistics are the label space.
        context: of the task.
        data: of the task.
    """

    def add_images() -> dict[str, Tensor]:
        patients: set[int] = set()
        for batch in data(Split.TRAIN):
            patients |= set(batch.targets[PATIENT].tolist())
            for statistics, features_of in spaces.values():
                statistics.add(features_of(batch.images), batch.classes)
        for statistics, _ in spaces.values():
            statistics.patients.fill_(len(patients))
        return {
            f"{space}.{key}": tensor
            for space, (statistics, _) in spaces.items()
            for key, tensor in statistics.state_dict().items()
        }

    tensors = context.checkpointed(name, add_images)
    for space, (statistics, _) in spaces.items():
        statistics.load_state_dict(
            {key: tensors[f"{space}.{key}"] for key in statistics.state_dict()}, statistics.gram.device
        )
