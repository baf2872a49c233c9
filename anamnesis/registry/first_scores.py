"""How a version compares with the first accepted version that learned a site."""

from anamnesis.records import Evaluation, PairedDifference


def difference_to_first(evaluation: Evaluation, metric: str, base: str) -> PairedDifference | None:
    """Returns the difference to the first accepted version that learned the site.

    An evaluation has differences to the base and to that first version; with one reference, the base is the first.

    Args:
        evaluation: of a version.
        metric: name of the metric.
        base: digest of the version's base; empty for none.

    Returns:
        The difference; none where the version itself is the first that learned the site.
    """
    differences = [item for item in evaluation.differences if item.metric == metric]
    return next((item for item in differences if item.reference != base), next(iter(differences), None))
