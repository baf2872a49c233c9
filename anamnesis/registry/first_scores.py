"""How a version compares with the first accepted version that learned a site."""

from decimal import Decimal

from anamnesis.records import Evaluation, PairedDifference, metric_properties


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


def reference_score(score: Decimal, difference: PairedDifference) -> Decimal:
    """Returns the score of the reference version on the same patients, from that of the version."""
    is_lower_better = metric_properties(difference.metric).is_lower_better
    return score - difference.drop if is_lower_better else score + difference.drop
