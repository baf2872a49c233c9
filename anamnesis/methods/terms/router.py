"""Class prototypes in a space that never moves: which task an image comes from, and which class.

A head that learns task after task prefers what it learned last, and most of what looks like forgetting is that. The
means of frozen features do not move and have no last: as a classifier they say what class an image has, and summed over
the classes of a task, which task it comes from.
"""

from collections.abc import Mapping
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, State, TaskContext, part_of
from anamnesis.methods.terms.base import Term
from anamnesis.methods.terms.groups import Groups
from anamnesis.methods.terms.ridge import Ridge, answer
from anamnesis.networks import Classifier
from anamnesis.networks.frozen import RandomFeatures
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

    The statistics are sums over images, so that they do not depend on the order of sites.
    """

    name = "router"

    def __init__(self, channels: int, seed: int, groups: Groups, strength: float, mix: float) -> None:
        super().__init__(1.0)
        self.groups, self.strength, self.mix = groups, strength, mix
        self.features = RandomFeatures(channels, seed)
        self._empty()

    def _empty(self) -> None:
        self.ridge, self._weights = Ridge(self.features.width_out), torch.zeros(0)

    def begin(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """A mean for each class that is new."""
        self._move(network.head.weight.device)
        self.ridge.grow(len(context.labels))

    def end(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Adds the site's images to the sums."""
        for batch in data(Split.TRAIN):
            self.ridge.add(self.features(batch.images), batch.targets)
        self._weights = torch.zeros(0)

    def log_chances(self, images: Tensor) -> Tensor:
        """Returns log p(class | x), [N, K], of images by the prototypes alone; a class without images has none."""
        self._move(images.device)
        if not len(self._weights):
            self._weights = self.ridge.discriminant(self.strength)
        empty = self.ridge.sums[:, -1] == 0
        return answer(self.features(images), self._weights).masked_fill(empty, -torch.inf).log_softmax(1)

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

    def _move(self, device: torch.device) -> None:
        self.features.to(device)
        self.ridge.to(device)

    def state_dict(self) -> State:
        """The sums, and the features that they are of: no other will do."""
        sums: State = {f"{self.name}/{name}": value for name, value in self.ridge.state_dict().items()}
        return sums | {f"router_features/{name}": value for name, value in self.features.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes them back."""
        self._empty()
        self._move(device)
        if found := part_of(state, self.name):
            self.ridge.load_state_dict(found, device)
            self.features.load_state_dict(part_of(state, "router_features"))


def _log_sum_over(values: Tensor, same: Tensor) -> Tensor:
    """Returns [N, K]: log sum exp of values [N, K] over the classes that are the ``same`` [K, K] group as each."""
    return torch.where(same, values[:, None, :], -torch.inf).logsumexp(2)
