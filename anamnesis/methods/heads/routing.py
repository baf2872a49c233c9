"""The prototypes predict the task of an image, the head and the prototypes its class within the task."""

import torch
from torch import Tensor


def route_logits(prototype_log_probs: Tensor, logits: Tensor, task_of_class: Tensor, prototype_weight: float) -> Tensor:
    """Returns log p(task | x) + log p(class | task, x), [N, K].

    The class within the task is predicted by the weighted mean of the log-probabilities there, of the head with weight
    1 and of the prototypes with ``prototype_weight``, normalised.

    Args:
        prototype_log_probs: [N, K], log p(class | x) by the prototypes.
        logits: [N, K], of the head.
        task_of_class: [K], number of the task of each class.
        prototype_weight: 0 or more.
    """
    numbers = task_of_class.to(logits.device)
    is_same_task = numbers[:, None] == numbers
    task_log_probs, head_log_sums = (_log_sum_over_task(part, is_same_task) for part in (prototype_log_probs, logits))
    if not prototype_weight:
        return task_log_probs + logits - head_log_sums
    # a task without an image so far has no probabilities of its classes
    class_log_probs = torch.where(task_log_probs > -torch.inf, prototype_log_probs - task_log_probs, 0.0)
    mixed_logits = (logits - head_log_sums + prototype_weight * class_log_probs) / (1 + prototype_weight)
    return task_log_probs + mixed_logits - _log_sum_over_task(mixed_logits, is_same_task)


def _log_sum_over_task(values: Tensor, is_same_task: Tensor) -> Tensor:
    """Returns [N, K]: log sum exp of values [N, K] over the classes of the same task, ``is_same_task`` [K, K]."""
    return torch.where(is_same_task, values[:, None, :], -torch.inf).logsumexp(2)
