"""A closed-form head at the end of a task: the linear discriminant of its classes in the encoder's features.

After a few epochs the head lags behind the features that it reads. The linear discriminant of the class means and their
shared covariance fits these features exactly. It is linear, so class activation maps stay closed-form Grad-CAM.
"""

import torch

from anamnesis.methods.base import Data, TaskContext
from anamnesis.methods.features.feature_statistics import FeatureStatistics, measure_statistics
from anamnesis.methods.method_component import MethodComponent
from anamnesis.networks import Classifier, evaluation_mode


class HeadRefit(MethodComponent):
    """Replaces the rows of a task's classes by their linear discriminant if no other site taught them; it has no state.

    Rows that another site taught too keep their trained values: the images of this site alone would forget that site.
    """

    name = "refit"

    def __init__(self, ridge: float) -> None:
        self.ridge = ridge

    @torch.no_grad()
    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Replaces the task's rows; the ridge is added to the scatter's diagonal, priors are shares of images."""
        class_indices = list(context.class_indices)
        if set(class_indices) & set(context.other_columns):
            return
        statistics = FeatureStatistics(network.head.weight.shape[1], len(context.labels), network.head.weight.device)
        spaces = {"encoder": (statistics, lambda images: network.embed(network.features(images)))}
        with evaluation_mode(network):
            measure_statistics("refit.statistics", spaces, context=context, data=data)
        statistics.sums = statistics.sums[class_indices]
        image_counts = statistics.sums[:, -1]
        if not image_counts.all():
            return  # a class without an image has no mean
        rows = statistics.solve_discriminant(self.ridge)
        rows[:, -1] += (image_counts / image_counts.sum()).log()
        rows = (rows - rows.mean(0)).to(network.head.weight)  # a part that all rows share changes no answer
        network.head.weight[class_indices], network.head.bias[class_indices] = rows[:, :-1], rows[:, -1]
