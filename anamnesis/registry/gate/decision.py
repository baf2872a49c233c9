"""The gate: decides on a candidate from a policy and evaluations. Pure; decimals are compared exactly."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal, Inexact

from anamnesis.records import (
    Criterion,
    CriterionResult,
    Decision,
    Enforcement,
    Evaluation,
    EvaluationSet,
    InputError,
    TaskType,
    Verdict,
    Version,
)
from anamnesis.registry.gate.policy import ApprovalMode, GatePolicy, SaliencyLimit, TaskLimits
from anamnesis.registry.gate.required_test_set import (
    FORGETTING,
    SALIENCY,
    RequiredTestSet,
    evaluation_label,
    is_evaluation_of,
)
from anamnesis.registry.history import History, describe_withdrawal
from anamnesis.registry.small_test_sets import describe_small_classes

SALIENCY_METRIC, SAME_CLASS_METRIC = "IoU", "IoUSameClass95"
MISSING_EVALUATIONS = "missing: "
"""Begins the reason of a decision that waits for evaluations, and not for another test set."""

_EXACT_CONTEXT = Context(prec=200, traps=[Inexact])
_SUCCESSES = (CriterionResult.PASSED, CriterionResult.NOT_APPLICABLE)

ReferenceScores = Mapping[tuple[str, str], Decimal]
"""(digest of a test set, metric) -> best score of any promoted version."""


def decide_promotion(
    policy: GatePolicy,
    candidate: Version,
    tests: Sequence[RequiredTestSet],
    evaluations: Iterable[Evaluation],
    references: ReferenceScores,
    history: History,
) -> Decision:
    """Returns the decision on a candidate, with all criteria.

    The first of these that applies decides: a person's rejection; a champion other than the candidate's base, or a
    replaced test set (``superseded``); corrected labels in a test set, a missing evaluation, or a class with too few
    test patients (``await_evaluations``); a failed criterion; a missing approval. A value equal to its limit passes.
    The worst value counts when several evaluators of one kind evaluated a test set. An advisory gate does not wait for
    patients: it says in its reason that they are few.

    Args:
        policy: the limits.
        candidate: the candidate.
        tests: the required test sets; each needs a ``forgetting`` evaluation, even without a limit.
        evaluations: the stored evaluations; only those of the candidate on frozen test sets count.
        references: best scores of promoted versions; one for each earlier test set with a margin.
        history: history of the registry.

    Raises:
        InputError: an evaluation lacks the metric of a criterion.
    """
    digest = candidate.digest
    frozen_evaluations = [
        item for item in evaluations if item.version == digest and item.evaluation_set is EvaluationSet.FROZEN
    ]
    relevant_evaluations = [item for item in frozen_evaluations if any(is_evaluation_of(item, test) for test in tests)]
    results = [
        _evaluate_criteria(_applicable_limits(policy, test, candidate), test, relevant_evaluations, references)
        for test in tests
    ]
    criteria = tuple(criterion for test_criteria, _ in results for criterion in test_criteria)
    missing_evaluations = [text for _, missing_texts in results for text in missing_texts]
    verdict, reason = _decide_verdict(
        policy=policy,
        candidate=candidate,
        criteria=criteria,
        missing_evaluations=missing_evaluations,
        history=history,
        tests=tests,
        small_classes=describe_small_classes(
            [item for item in relevant_evaluations if _is_judged(policy, item, tests, candidate)],
            policy.minimum_test_patients,
        ),
    )
    return Decision(
        verdict=verdict,
        candidate=digest,
        base=candidate.base,
        champion=history.champion,
        criteria=criteria,
        evaluations=tuple(sorted(item.digest for item in relevant_evaluations)),
        reason=reason + "".join(_describe_replaced_scores(tests, frozen_evaluations, history)),
        enforcement=policy.enforcement,
    )


def _decide_verdict(
    policy: GatePolicy,
    candidate: Version,
    criteria: Sequence[Criterion],
    missing_evaluations: Sequence[str],
    history: History,
    tests: Sequence[RequiredTestSet],
    small_classes: Sequence[str],
) -> tuple[Verdict, str]:
    digest = candidate.digest
    if history.is_vetoed(digest):
        entry = history.rejections[digest]
        return Verdict.REJECT, f"{entry.author} rejected it in log entry {entry.number}: {entry.reason}"
    if history.champion == digest:
        return Verdict.PROMOTE, "it is the champion"
    if digest in history.promoted_versions:
        return Verdict.SUPERSEDED, "it is a former champion; roll back to use it again"
    if history.withdrawal:
        return Verdict.SUPERSEDED, describe_withdrawal(history.withdrawal)
    if candidate.base != history.champion:
        return Verdict.SUPERSEDED, f"it was trained from {candidate.base}, but the champion is {history.champion}"
    for test in tests:
        if issue := history.replaced_test_sets.get(test.test_set):
            reason = f"{issue.author} replaced the test set of {test.site} in log entry {issue.number}"
            return Verdict.SUPERSEDED, reason
    if corrected_tests := [test for test in tests if test.corrected_labels]:
        return Verdict.AWAIT_EVALUATIONS, "; ".join(map(_describe_corrected_labels, corrected_tests))
    if missing_evaluations:
        return Verdict.AWAIT_EVALUATIONS, f"{MISSING_EVALUATIONS}{'; '.join(missing_evaluations)}"
    if small_classes and policy.enforcement is Enforcement.ENFORCED:
        return Verdict.AWAIT_EVALUATIONS, "; ".join(small_classes)
    doubt = "".join(f" ({text})" for text in small_classes)
    if failed_criteria := [item for item in criteria if item.result not in _SUCCESSES]:
        failures = "; ".join(map(_format_failure, failed_criteria))
        return Verdict.REJECT, f"failed {len(failed_criteria)} of {_format_criteria_count(criteria)}: {failures}{doubt}"
    if policy.approval is ApprovalMode.REQUIRED and digest not in history.approvals:
        return Verdict.AWAIT_APPROVAL, f"passed {_format_criteria_count(criteria)} and waits for a person's approval"
    approval_text = f", approved by {history.approvals[digest].author}" if digest in history.approvals else ""
    return Verdict.PROMOTE, f"passed {_format_criteria_count(criteria)}{approval_text}{doubt}"


def _describe_corrected_labels(test: RequiredTestSet) -> str:
    return (
        f"the source of {test.site} has another label for {test.corrected_labels} cases of its frozen test set, so no "
        f"score on it decides; if the new labels are right, run 'anamnesis testset issue --site {test.site} "
        "--reason TEXT', else put the labels back"
    )


def _describe_replaced_scores(
    tests: Sequence[RequiredTestSet], evaluations: Sequence[Evaluation], history: History
) -> Iterator[str]:
    """Yields the scores on test sets that were replaced: they are shown, and decide nothing."""
    for test in tests:
        earlier_test = replace(test, test_set=history.earlier_test_set(test.test_set))
        score = _worst_score(evaluations, earlier_test, FORGETTING, test.task.primary_metric)
        if score is not None:
            metric = test.task.primary_metric
            yield f" (on the replaced test set of {test.site} it scores {metric} {score}, not required)"


def _format_criteria_count(criteria: Sequence[Criterion]) -> str:
    count = sum(criterion.result is not CriterionResult.NOT_APPLICABLE for criterion in criteria)
    return "1 criterion" if count == 1 else f"{count} criteria"


def _applicable_limits(policy: GatePolicy, test: RequiredTestSet, candidate: Version) -> TaskLimits:
    """Returns the limits of one test set; for a task that the candidate's base has not learned only the floor."""
    limits = policy.limits_for(test.task.name)
    return TaskLimits(floor=limits.floor) if test.is_new_site or candidate.base is None else limits


def _is_judged(
    policy: GatePolicy, evaluation: Evaluation, tests: Sequence[RequiredTestSet], candidate: Version
) -> bool:
    """Whether a limit applies to the scores of an evaluation."""
    return any(
        is_evaluation_of(evaluation, test) and _applicable_limits(policy, test, candidate) != TaskLimits()
        for test in tests
    )


def _evaluate_criteria(
    limits: TaskLimits, test: RequiredTestSet, evaluations: Sequence[Evaluation], references: ReferenceScores
) -> tuple[list[Criterion], list[str]]:
    """Returns the criteria of one test set and, in words, the missing evaluations."""
    metric = test.task.primary_metric
    score = _worst_score(evaluations, test, FORGETTING, metric)
    best_score = references.get((test.test_set, metric))
    criteria = []
    missing_evaluations = [] if score is not None else [evaluation_label(test, FORGETTING)]
    if limits.floor is not None:
        criteria.append(_floor_criterion("floor", test, score, limits.floor))
    if limits.margin is not None:
        score_drop = None if score is None or best_score is None else _exact_difference(best_score, score)
        criteria.append(_forgetting_criterion(test, score_drop, limits.margin))
        if best_score is None:
            missing_evaluations.append(f"{evaluation_label(test, FORGETTING)} of a promoted version, for the margin")
    if limits.saliency_floor is not None:
        is_applicable = _has_saliency_maps(test, evaluations)
        overlap = _worst_score(evaluations, test, SALIENCY, SALIENCY_METRIC) if is_applicable else None
        floor = (
            _worst_score(evaluations, test, SALIENCY, SAME_CLASS_METRIC)
            if isinstance(limits.saliency_floor, SaliencyLimit)
            else limits.saliency_floor
        )
        criterion = _floor_criterion("saliency", test, overlap, floor)
        criteria.append(criterion if is_applicable else replace(criterion, result=CriterionResult.NOT_APPLICABLE))
        if is_applicable and overlap is None:
            missing_evaluations.append(evaluation_label(test, SALIENCY))
    return criteria, missing_evaluations


def _has_saliency_maps(test: RequiredTestSet, evaluations: Sequence[Evaluation]) -> bool:
    """Whether there is something to measure: not in a segmentation, nor where the evaluator reported no maps."""
    if test.task.type is not TaskType.CLASSIFICATION:
        return False
    stored = [item for item in evaluations if item.name == SALIENCY and is_evaluation_of(item, test)]
    return not stored or any(item.metrics for item in stored)


def _floor_criterion(name: str, test: RequiredTestSet, value: Decimal | None, limit: Decimal | None) -> Criterion:
    return _criterion(name, test, value, limit, None if value is None or limit is None else value >= limit)


def _forgetting_criterion(test: RequiredTestSet, value: Decimal | None, limit: Decimal) -> Criterion:
    return _criterion("forgetting", test, value, limit, None if value is None else value <= limit)


def _criterion(
    name: str, test: RequiredTestSet, value: Decimal | None, limit: Decimal | None, passed: bool | None
) -> Criterion:
    results = {None: CriterionResult.MISSING, True: CriterionResult.PASSED, False: CriterionResult.FAILED}
    return Criterion(name=name, site=test.site, task=test.task.name, value=value, limit=limit, result=results[passed])


def _worst_score(evaluations: Sequence[Evaluation], test: RequiredTestSet, name: str, metric: str) -> Decimal | None:
    values = []
    for item in evaluations:
        if item.name == name and item.metrics and is_evaluation_of(item, test):
            if metric not in item.metrics:
                raise InputError(
                    f"{evaluation_label(test, name)}: the evaluation has no metric {metric}; "
                    f"set primaryMetric of the task to one of {', '.join(sorted(item.metrics))}"
                )
            values.append(item.metrics[metric].value)
    return min(values, default=None)


def _exact_difference(best_score: Decimal, score: Decimal) -> Decimal:
    try:
        return _EXACT_CONTEXT.subtract(best_score, score)
    except Inexact:
        raise InputError(
            f"the difference of the scores {best_score:.6f} and {score:.6f} has more than "
            f"{_EXACT_CONTEXT.prec} digits; this is a fault of the program: report it with the log"
        ) from None


def _format_failure(criterion: Criterion) -> str:
    sign = ">" if criterion.name == "forgetting" else "<"
    return f"{criterion.name} of {criterion.task} at {criterion.site} {criterion.value} {sign} {criterion.limit}"
