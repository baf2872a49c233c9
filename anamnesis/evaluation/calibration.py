"""The temperature of a classifier, in double precision."""

from torch import Tensor

LARGEST_SCALE = 32.0
_HALVINGS = 60


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Returns the temperature T that minimises the cross-entropy of softmax(logits / T), between 1/32 and 32.

    The cross-entropy is convex in 1 / T, so its slope is halved to its zero. Source: Guo et al., ICML 2017.

    Args:
        logits: [N, C], the task's own classes; minus infinity excludes a class.
        targets: [N], the position of the true class.
    """
    scores = logits.double()
    true_scores = scores.gather(1, targets[:, None])[:, 0]
    finite_scores = scores.masked_fill(scores.isinf(), 0.0)  # an excluded class has probability 0

    def slope(scale: float) -> float:
        expected_scores = ((scores * scale).softmax(1) * finite_scores).sum(1)
        return float((expected_scores - true_scores).sum())

    low, high = 1 / LARGEST_SCALE, LARGEST_SCALE
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(1 / (low * high) ** 0.5)
