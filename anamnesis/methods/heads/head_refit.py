"""The head of a task that ends is solved in closed form: class prototypes in the encoder's features answer.

A few epochs leave the head behind the features that it reads. The linear discriminant of the class means and their
shared covariance is the head that these features deserve. It is linear: a class activation map stays what it is.
"""

import torch

from anamnesis.methods.base import Data, TaskContext
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.loss_term import LossTerm
from anamnesis.networks import Classifier, evaluation_mode
from anamnesis.records import Split


class HeadRefit(LossTerm):
    """Rows of classes that are all new become their linear discriminant; no loss, no state.

    Rows that an earlier site taught stay as training leaves them: this site's images alone would forget that one's.
    """

    name = "refit"

    def __init__(self, ridge: float, task_groups: TaskGroups) -> None:
        super().__init__(ridge)
        self.task_groups = task_groups

    @torch.no_grad()
    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Replaces the task's rows; the strength is added to the scatter's diagonal, priors are shares of images."""
        class_indices = list(context.class_indices)
        if not set(class_indices) <= self.task_groups.new_classes:
            return
        statistics = FeatureStatistics(network.head.weight.shape[1], len(context.labels), network.head.weight.device)
        with evaluation_mode(network):
            for batch in data(Split.TRAIN):
                statistics.add(network.features(batch.images).float().mean((2, 3)), batch.targets)
        statistics.sums = statistics.sums[class_indices]
        image_counts = statistics.sums[:, -1]
        if not image_counts.all():
            return  # a class without an image has no mean
        rows = statistics.solve_discriminant(self.weight)
        rows[:, -1] += (image_counts / image_counts.sum()).log()
        rows = (rows - rows.mean(0)).to(network.head.weight)  # what all rows share says nothing
        network.head.weight[class_indices], network.head.bias[class_indices] = rows[:, :-1], rows[:, -1]
