"""The head of a task that ends is solved in closed form: class prototypes in the encoder's features answer.

A few epochs leave the head behind the features that it reads. The linear discriminant of the class means and their
shared covariance is the head that these features deserve. It is linear: a class activation map stays what it is.
"""

import torch

from anamnesis.methods.base import Data, TaskContext
from anamnesis.methods.features.feature_statistics import Ridge
from anamnesis.methods.features.task_groups import Groups
from anamnesis.methods.loss_term import Term
from anamnesis.networks import Classifier, evaluating
from anamnesis.records import Split


class Refit(Term):
    """Rows of classes that are all new become their linear discriminant; no loss, no state.

    Rows that an earlier site taught stay as training leaves them: this site's images alone would forget that one's.
    """

    name = "refit"

    def __init__(self, strength: float, groups: Groups) -> None:
        super().__init__(strength)
        self.groups = groups

    @torch.no_grad()
    def end(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Replaces the task's rows; the strength is added to the scatter's diagonal, priors are shares of images."""
        columns = list(context.columns)
        if not set(columns) <= self.groups.fresh:
            return
        found = Ridge(network.head.weight.shape[1], len(context.labels), network.head.weight.device)
        with evaluating(network):
            for batch in data(Split.TRAIN):
                found.add(network.features(batch.images).float().mean((2, 3)), batch.targets)
        found.sums = found.sums[columns]
        counts = found.sums[:, -1]
        if not counts.all():
            return  # a class without an image has no mean
        rows = found.discriminant(self.weight)
        rows[:, -1] += (counts / counts.sum()).log()
        rows = (rows - rows.mean(0)).to(network.head.weight)  # what all rows share says nothing
        network.head.weight[columns], network.head.bias[columns] = rows[:, :-1], rows[:, -1]
