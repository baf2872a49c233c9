"""Class prototypes in the features that the network learns: the mean feature of each class.

Nothing is solved and no frozen space takes part: with the head they are the answer of the trained network alone. Later
sites change the network, so the prototypes of earlier sites would lag behind it. Their visual prototypes, which do not
change, go through the network before and after each update, and the class moves as its visual prototype does. That is
the drift compensation of Yu et al. (CVPR 2020), measured on stored prototypes instead of images of the new site.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.base import Data, StateDict, TaskContext
from anamnesis.methods.features.feature_statistics import FeatureStatistics, measure_statistics
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.features.visual_prototypes import VisualPrototypes
from anamnesis.methods.heads.routing import route_logits
from anamnesis.methods.method_component import MethodComponent
from anamnesis.methods.site_state import site_entries, tensors_by_site
from anamnesis.networks import Classifier, evaluation_mode


@dataclass(frozen=True, slots=True)
class SitePrototypes:
    """The class prototypes of one site.

    Attributes:
        columns: [k] the classes, as columns of the logits.
        means: [k, F] mean feature of each, of unit-length features.
        counts: [k] number of images behind each; 0 during the site's own task, and where a class has none.
        variance: scalar, see ``mean_variance``.
    """

    columns: Tensor
    means: Tensor
    counts: Tensor
    variance: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors by name."""
        return {"columns": self.columns, "means": self.means, "counts": self.counts, "variance": self.variance}

    def to(self, device: torch.device) -> "SitePrototypes":
        """Returns the prototypes on a device."""
        return SitePrototypes(**{name: tensor.to(device) for name, tensor in self.tensors().items()})


class LearnedPrototypes(MethodComponent):
    """The mean feature of each class of each site, moved along with the network by later updates.

    State: ``learned_prototypes.<site>``.

    Attributes:
        by_site: the prototypes of each site.
    """

    name = "learned_prototypes"

    def __init__(self, task_groups: TaskGroups, visual_prototypes: VisualPrototypes | None, weight: float) -> None:
        """Starts without prototypes.

        Args:
            task_groups: the task of each class.
            visual_prototypes: which measure the drift; none: the means stay where they were.
            weight: of the prototypes in the choice of the class within the task; that of the head is 1.
        """
        self.task_groups, self.visual_prototypes, self.weight = task_groups, visual_prototypes, weight
        self.by_site: dict[str, SitePrototypes] = {}
        self._positions_before: dict[str, Tensor] = {}
        self._prototypes_before: dict[str, SitePrototypes] = {}

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Empties those of the site, and remembers where the base version sees the others' visual prototypes."""
        weight, columns = network.head.weight, torch.tensor(context.class_indices)
        self.by_site[context.site] = SitePrototypes(
            columns, torch.zeros(len(columns), weight.shape[1]), torch.zeros(len(columns)), torch.zeros(())
        )
        self._move_to(weight.device)
        self._positions_before = self._visual_positions(network, context.site)
        self._prototypes_before = dict(self.by_site)

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Replaces the prototypes of the site, and moves those of the others with their visual prototypes."""
        device = network.head.weight.device
        statistics = FeatureStatistics(network.head.weight.shape[1], len(context.labels), device)
        spaces = {"learned": (statistics, lambda images: unit_features(network.embed(network.features(images))))}
        with evaluation_mode(network), torch.no_grad():
            measure_statistics("learned_prototypes.statistics", spaces, context=context, data=data)
        columns = torch.tensor(context.class_indices, device=device)
        self.by_site[context.site] = SitePrototypes(
            columns,
            statistics.means[columns].float(),
            statistics.sums[columns, -1].float(),
            mean_variance(statistics).float(),
        )
        for site, positions in self._visual_positions(network, context.site).items():
            if site in self._prototypes_before:
                self._move(site, positions - self._positions_before[site])

    @torch.no_grad()
    def _visual_positions(self, network: Classifier, current_site: str) -> dict[str, Tensor]:
        """Returns the features [m, F] of the stored visual prototypes of each other site."""
        stored = self.visual_prototypes.by_site if self.visual_prototypes else {}
        device = network.head.weight.device
        with evaluation_mode(network):
            return {
                site: unit_features(network.embed(network.features(prototypes.images.to(device))))
                for site, prototypes in stored.items()
                if site != current_site
            }

    def _move(self, site: str, shifts: Tensor) -> None:
        """Adds the shifts [m, F] of a site's visual prototypes to the prototypes of the same classes."""
        assert self.visual_prototypes
        prototypes = self._prototypes_before[site]
        means = prototypes.means.clone()
        for column, shift in zip(self.visual_prototypes.by_site[site].columns.tolist(), shifts, strict=True):
            means[prototypes.columns == column] += shift
        self.by_site[site] = replace(prototypes, means=means)

    def forget_site(self, network: Classifier, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the prototypes of ``site``; the columns of the others become positions in ``kept_columns``."""
        self.by_site.pop(site, None)
        for other_site, prototypes in self.by_site.items():
            column_tensor = torch.tensor(kept_columns, device=prototypes.columns.device)
            self.by_site[other_site] = replace(
                prototypes, columns=torch.searchsorted(column_tensor, prototypes.columns)
            )

    def has_classes(self, class_count: int) -> bool:
        """Returns whether a site has each class; a base version of another method lacks its classes."""
        class_columns = {column for prototypes in self.by_site.values() for column in prototypes.columns.tolist()}
        return class_columns >= set(range(class_count))

    def log_probs(self, embedding: Tensor, class_count: int) -> Tensor:
        """Returns log p(class | x) [N, K] of pooled features [N, F]; minus infinity for a class without images.

        Every class is a Gaussian with one variance v in all directions: -|u - m_c|^2 / (2 v), for unit-length features
        u and the mean m_c over the images of all sites.
        """
        features = unit_features(embedding)
        self._move_to(features.device)
        all_sites = [self.by_site[site] for site in sorted(self.by_site)]
        sums, counts = features.new_zeros(class_count, features.shape[1]), features.new_zeros(class_count)
        for prototypes in all_sites:
            sums = sums.index_add(0, prototypes.columns, prototypes.means * prototypes.counts[:, None])
            counts = counts.index_add(0, prototypes.columns, prototypes.counts)
        means = sums / counts.clamp_min(1)[:, None]
        images = torch.stack([prototypes.counts.sum() for prototypes in all_sites])
        variances = torch.stack([prototypes.variance for prototypes in all_sites])
        variance = (variances * images).sum() / images.sum()
        # not a product of matrices, which half precision would round: a distance is small beside the lengths
        distances = torch.stack([(features - mean).square().sum(1) for mean in means], dim=1)
        return (-distances / (2 * variance)).masked_fill(counts == 0, -torch.inf).log_softmax(1)

    def route_logits(self, embedding: Tensor, logits: Tensor) -> Tensor:
        """Returns log p(task | x) + log p(class | task, x) [N, K] of pooled features [N, F] and the head's logits."""
        log_probs = self.log_probs(embedding, logits.shape[1])
        return route_logits(log_probs, logits, self.task_groups.task_of_class, self.weight)

    def _move_to(self, device: torch.device) -> None:
        if any(prototypes.means.device != device for prototypes in self.by_site.values()):
            self.by_site = {site: prototypes.to(device) for site, prototypes in self.by_site.items()}

    def state_dict(self) -> StateDict:
        """Returns the prototypes of each site."""
        state: StateDict = {}
        for site, prototypes in self.by_site.items():
            state |= site_entries(self.name, site, prototypes.tensors())
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores them."""
        self.by_site = {
            site: SitePrototypes(**tensors).to(device) for site, tensors in tensors_by_site(state, self.name).items()
        }


def unit_features(features: Tensor) -> Tensor:
    """Returns features [N, F] divided by their lengths, in float32."""
    return functional.normalize(features.float(), dim=1)


def mean_variance(statistics: FeatureStatistics) -> Tensor:
    """Returns |C|_F^2 / tr C of the covariance C within classes: the mean of its eigenvalues, weighted by themselves.

    A plain mean over a thousand directions, most of which hardly vary, would make every answer certain.
    """
    means, count = statistics.means, statistics.gram[-1, -1].clamp_min(1)
    covariance = (statistics.gram[:-1, :-1] - (means * statistics.sums[:, -1:]).T @ means) / count
    return covariance.square().sum() / covariance.trace().clamp_min(1e-12) + 1e-12
