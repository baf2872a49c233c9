"""Class prototypes in spaces that never move: which task an image comes from, and which class.

A head that learns task after task prefers what it learned last, and most of what looks like forgetting is that. The
means of frozen features do not move and have no last: as a classifier they say what class an image has, and summed over
the classes of a task, which task it comes from.
"""

from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, State, TaskContext
from anamnesis.methods.features.frozen_features import Space
from anamnesis.methods.features.task_groups import Groups
from anamnesis.methods.loss_term import Term
from anamnesis.networks import Classifier
from anamnesis.records import Split


class Answering(StrEnum):
    """Who answers."""

    AUTO = "auto"
    """``routed`` where prototypes are shared, else ``linear``: nothing of a site's images is stored but weights."""
    LINEAR = "linear"
    """The head of the network that learns."""
    PROTOTYPES = "prototypes"
    """Class prototypes in frozen features, with a covariance that all classes share."""
    ROUTED = "routed"
    """The prototypes say which task, the head which class of it: p(task | x) p(class | task, x)."""


class Router(Term):
    """Mean of frozen features for each class and their shared covariance (Hayes and Kanan 2020); no loss.

    The statistics are sums over images: no later site takes anything out of them. Over the random features they do not
    depend on the order of sites; the encoder is that of whichever site came first.
    """

    name = "router"

    def __init__(self, spaces: tuple[Space, ...], groups: Groups, mix: float) -> None:
        super().__init__(1.0)
        self.spaces, self.groups, self.mix = spaces, groups, mix

    def begin(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """A mean for each class that is new."""
        for space in self.spaces:
            space.to(network.head.weight.device)
            space.ridge.grow(len(context.labels))

    def end(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Adds the site's images to the sums."""
        for space in self.spaces:
            space.follow(network)
        for batch in data(Split.TRAIN):
            for space in self.spaces:
                space.add(batch.images, batch.targets)

    def knows(self, classes: int) -> bool:
        """Whether there is a row for each of so many classes; a base version that was made without has none."""
        return all(space.ridge.classes >= classes for space in self.spaces)

    def log_chances(self, images: Tensor) -> Tensor:
        """Returns log p(class | x), [N, K], of images by the prototypes alone; a class without images has none.

        The spaces' log-probabilities are added, as if each saw the image for itself.
        """
        return torch.stack([space.log_chances(images) for space in self.spaces]).sum(0).log_softmax(1)

    def routed(self, images: Tensor, logits: Tensor) -> Tensor:
        """Returns log p(task | x) + log p(class | task, x) [N, K], the latter by the head's ``logits`` [N, K].

        With ``mix`` m, the class within the task is answered by both: head + m times prototypes, in log space.
        """
        chances = self.log_chances(images)
        groups = self.groups.of_class.to(images.device)
        same = groups[:, None] == groups
        task, within = (_log_sum_over(values, same) for values in (chances, logits))
        if not self.mix:
            return task + logits - within
        known = torch.where(task > -torch.inf, chances - task, 0.0)  # a task of which no image was seen yet
        mixed = logits - within + self.mix * known
        return task + mixed - _log_sum_over(mixed, same)

    def state_dict(self) -> State:
        """Every space's."""
        return {name: value for space in self.spaces for name, value in space.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes them back."""
        for space in self.spaces:
            space.load_state_dict(state, device)


def _log_sum_over(values: Tensor, same: Tensor) -> Tensor:
    """Returns [N, K]: log sum exp of values [N, K] over the classes that are the ``same`` [K, K] group as each."""
    return torch.where(same, values[:, None, :], -torch.inf).logsumexp(2)
