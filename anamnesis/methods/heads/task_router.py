"""Class prototypes in spaces that never move: which task an image comes from, and which class.

A head that learns task after task prefers what it learned last, and most of what looks like forgetting is that. The
means of frozen features do not move and have no last: as a classifier they say what class an image has, and summed over
the classes of a task, which task it comes from.
"""

from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict, TaskContext
from anamnesis.methods.features.frozen_features import FrozenFeatures
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.loss_term import LossTerm
from anamnesis.networks import Classifier
from anamnesis.records import Split


class ClassifierMode(StrEnum):
    """Who answers."""

    AUTO = "auto"
    """``routed`` where prototypes are shared, else ``linear``: nothing of a site's images is stored but weights."""
    LINEAR = "linear"
    """The head of the network that learns."""
    PROTOTYPES = "prototypes"
    """Class prototypes in frozen features, with a covariance that all classes share."""
    ROUTED = "routed"
    """The prototypes say which task, the head which class of it: p(task | x) p(class | task, x)."""


class TaskRouter(LossTerm):
    """Mean of frozen features for each class and their shared covariance (Hayes and Kanan 2020); no loss.

    The statistics are sums over images: no later site takes anything out of them. Over the random features they do not
    depend on the order of sites; the encoder is that of whichever site came first.
    """

    name = "router"

    def __init__(
        self, feature_spaces: tuple[FrozenFeatures, ...], task_groups: TaskGroups, prototype_share: float
    ) -> None:
        super().__init__(1.0)
        self.feature_spaces, self.task_groups, self.prototype_share = feature_spaces, task_groups, prototype_share

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """A mean for each class that is new."""
        for space in self.feature_spaces:
            space.to(network.head.weight.device)
            space.statistics.grow(len(context.labels))

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Adds the site's images to the sums."""
        for space in self.feature_spaces:
            space.copy_encoder(network)
        for batch in data(Split.TRAIN):
            for space in self.feature_spaces:
                space.add_images(batch.images, batch.targets)

    def has_classes(self, class_count: int) -> bool:
        """Whether there is a row for each of so many classes; a base version that was made without has none."""
        return all(space.statistics.classes >= class_count for space in self.feature_spaces)

    def log_probs(self, images: Tensor) -> Tensor:
        """Returns log p(class | x), [N, K], of images by the prototypes alone; a class without images has none.

        The spaces' log-probabilities are added, as if each saw the image for itself.
        """
        return torch.stack([space.log_probs(images) for space in self.feature_spaces]).sum(0).log_softmax(1)

    def route_logits(self, images: Tensor, logits: Tensor) -> Tensor:
        """Returns log p(task | x) + log p(class | task, x) [N, K], the latter by the head's ``logits`` [N, K].

        With ``mix`` m, the class within the task is answered by both: head + m times prototypes, in log space.
        """
        prototype_log_probs = self.log_probs(images)
        task_of_class = self.task_groups.task_of_class.to(images.device)
        is_same_task = task_of_class[:, None] == task_of_class
        task_log_probs, head_log_sums = (
            _log_sum_over_task(values, is_same_task) for values in (prototype_log_probs, logits)
        )
        if not self.prototype_share:
            return task_log_probs + logits - head_log_sums
        prototype_class_log_probs = torch.where(
            task_log_probs > -torch.inf, prototype_log_probs - task_log_probs, 0.0
        )  # a task of which no image was seen yet
        mixed_logits = logits - head_log_sums + self.prototype_share * prototype_class_log_probs
        return task_log_probs + mixed_logits - _log_sum_over_task(mixed_logits, is_same_task)

    def state_dict(self) -> StateDict:
        """Every space's."""
        return {name: value for space in self.feature_spaces for name, value in space.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes them back."""
        for space in self.feature_spaces:
            space.load_state_dict(state, device)


def _log_sum_over_task(values: Tensor, is_same_task: Tensor) -> Tensor:
    """Returns [N, K]: log sum exp of values [N, K] over the classes that are the ``is_same_task`` [K, K] group as each."""
    return torch.where(is_same_task, values[:, None, :], -torch.inf).logsumexp(2)
