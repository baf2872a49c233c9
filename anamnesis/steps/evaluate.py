"""The steps that evaluate a version: forgetting, saliency, and the champion on a schedule."""

from collections.abc import Mapping

from anamnesis.records import Evaluation, Progress, decode, encode, ignore_progress
from anamnesis.registry import Log
from anamnesis.registry.opening import open_registry
from anamnesis.updates.requests import EvaluationRequest, UpdateRequest
from anamnesis.updates.required_tests import earlier_test_sets, tested_sites


def evaluate_forgetting(
    request: Mapping[str, object], version: str, test_set: str, progress: Progress = ignore_progress
) -> dict[str, object]:
    """Evaluates a version on the frozen test sets of all its sites, the new site included.

    The base version is evaluated too where it has no score yet: on a test set that was issued later, on the sites of
    imported weights, and on a new site whose task it already knows. The gate needs these scores for its comparison.
    Where a test set replaced another one, both versions are also evaluated on the earlier set, for people.

    Args:
        request: encoded ``UpdateRequest``.
        version: digest of the candidate.
        test_set: digest of the site's current test set.
        progress: called per test set.

    Returns:
        Encoded ``evaluations``, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.frozen_evaluation import evaluate_frozen

    update_request = decode(UpdateRequest, request, "request")
    sites = tested_sites(update_request, test_set)
    store = open_registry(update_request.registry, update_request.signing)
    all_sets = (*sites, *earlier_test_sets(sites, Log(store).history()))
    if update_request.base:
        evaluate_frozen(store, update_request.base, all_sets, progress)
    return _evaluation_result(evaluate_frozen(store, version, all_sets, progress)[: len(sites)])


def evaluate_saliency(
    request: Mapping[str, object], version: str, test_set: str, progress: Progress = ignore_progress
) -> dict[str, object]:
    """Evaluates the maps of a version's answers: faithful on every site, retained on earlier ones.

    Args:
        request: encoded ``UpdateRequest``.
        version: digest of the candidate.
        test_set: digest of the site's current test set.
        progress: called per site.

    Returns:
        Encoded ``evaluations``, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.saliency_evaluation import evaluate_saliency as evaluate

    update_request = decode(UpdateRequest, request, "request")
    store = open_registry(update_request.registry, update_request.signing)
    return _evaluation_result(evaluate(store, version, tested_sites(update_request, test_set), progress))


def evaluate_scheduled(
    request: Mapping[str, object], workers: int, progress: Progress = ignore_progress
) -> dict[str, object]:
    """Evaluates the champion again; see ``updates.scheduled_evaluation``.

    Args:
        request: encoded ``EvaluationRequest``.
        workers: processes that read files.
        progress: called per file and per site.

    Returns:
        The encoded ``scheduled_evaluation`` that the registry keeps, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.scheduled_evaluation import evaluate_scheduled as evaluate

    evaluation = evaluate(decode(EvaluationRequest, request, "request"), workers, progress)
    summary = {
        f"{measurement.site}/{measurement.evaluation_set.value}/{measurement.metric}": float(measurement.score.value)
        for measurement in evaluation.measurements
    }
    return {"scheduled_evaluation": encode(evaluation), "summary": summary}


def _evaluation_result(evaluations: tuple[Evaluation, ...]) -> dict[str, object]:
    summary = {
        f"{evaluation.site}/{name}": float(metric.value)
        for evaluation in evaluations
        for name, metric in evaluation.metrics.items()
    }
    return {"evaluations": [encode(evaluation) for evaluation in evaluations], "summary": summary}
