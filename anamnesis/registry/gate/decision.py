"""The verdict on a candidate: what the log says, then what the criteria show. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import (
    Criterion,
    CriterionResult,
    Decision,
    Enforcement,
    Evaluation,
    Verdict,
    Version,
)
from anamnesis.registry.gate.criteria import judge_test_set
from anamnesis.registry.gate.policy import ApprovalMode, GatePolicy
from anamnesis.registry.gate.required_test_set import FORGETTING, RequiredTestSet, evaluations_of, is_evaluation_of
from anamnesis.registry.gate.saliency import FAITHFULNESS_METRIC
from anamnesis.registry.history import History, describe_withdrawal
from anamnesis.registry.small_test_sets import describe_small_classes

MISSING_EVALUATIONS = "missing: "
"""Begins the reason of a decision that waits for evaluations, and not for another test set."""
_SHOWN_SENTENCES = 4
"""Of many sentences of one kind: a status has 1,024 characters."""


def decide_promotion(
    policy: GatePolicy,
    candidate: Version,
    tests: Sequence[RequiredTestSet],
    evaluations: Iterable[Evaluation],
    history: History,
) -> Decision:
    """Returns the decision on a candidate, with all criteria.

    The first of these that applies decides: a person's rejection; a champion other than the candidate's base, or a
    replaced test set (``superseded``); corrected labels in a test set (``await_evaluations``); a failed criterion,
    where each class has enough test patients (``reject``); a missing evaluation, or a class with too few test patients
    (``await_evaluations``); an undecided criterion, maps that show nothing, probabilities that are off, or a required
    approval, without a person's approval (``await_approval``). An advisory gate does not wait for patients: it says in
    its reason that they are few.

    Args:
        policy: the limits.
        candidate: the candidate.
        tests: the required test sets; each needs a ``forgetting`` evaluation, even without a limit.
        evaluations: stored evaluations of the candidate and of its base; only those on frozen test sets count.
        history: history of the registry.

    Raises:
        InputError: an evaluation lacks the primary metric of its task.
    """
    all_evaluations = list(evaluations)
    own_evaluations = [item for item in all_evaluations if item.version == candidate.digest]
    relevant_evaluations = [item for item in own_evaluations if any(is_evaluation_of(item, test) for test in tests)]
    results = [judge_test_set(policy, test, candidate, all_evaluations) for test in tests]
    judged_tests = [test for test, result in zip(tests, results, strict=True) if result.is_judged]
    judged_evaluations = [
        item for item in relevant_evaluations if any(is_evaluation_of(item, test) for test in judged_tests)
    ]
    findings = _Findings(
        criteria=tuple(criterion for result in results for criterion in result.criteria),
        missing=tuple(text for result in results for text in result.missing),
        small_classes=tuple(describe_small_classes(judged_evaluations, policy.minimum_test_patients)),
    )
    verdict, reason = _decide_order(candidate, history, tests) or _decide_findings(policy, candidate, findings, history)
    return Decision(
        verdict=verdict,
        candidate=candidate.digest,
        base=candidate.base,
        champion=history.champion,
        criteria=findings.criteria,
        evaluations=tuple(sorted(item.digest for item in relevant_evaluations)),
        reason=reason + "".join(_describe_replaced_scores(tests, own_evaluations, history)),
        enforcement=policy.enforcement,
    )


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the evaluations show.

    Attributes:
        criteria: of all test sets.
        missing: what is missing, in words.
        small_classes: classes with too few test patients, in words.
    """

    criteria: tuple[Criterion, ...]
    missing: tuple[str, ...]
    small_classes: tuple[str, ...]

    @property
    def failures(self) -> list[Criterion]:
        return [item for item in self.criteria if item.result is CriterionResult.FAILED and not _needs_person(item)]

    @property
    def doubts(self) -> list[Criterion]:
        """What only a person can decide."""
        return [
            item
            for item in self.criteria
            if item.result is CriterionResult.UNDECIDED
            or (item.result is CriterionResult.FAILED and _needs_person(item))
        ]

    @property
    def count(self) -> str:
        count = sum(item.result is not CriterionResult.NOT_APPLICABLE for item in self.criteria)
        return "1 criterion" if count == 1 else f"{count} criteria"


def _needs_person(criterion: Criterion) -> bool:
    """Returns whether a failed criterion waits for a person instead of rejecting.

    Maps that show nothing and probabilities that are off leave the answers and their scores unharmed; a person decides
    whether the model is of use without them.
    """
    return criterion.name == "calibration" or criterion.metric == FAITHFULNESS_METRIC


def _decide_order(candidate: Version, history: History, tests: Sequence[RequiredTestSet]) -> tuple[Verdict, str] | None:
    """Returns the verdict of the log alone, or none where the criteria decide."""
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
    return None


def _decide_findings(
    policy: GatePolicy, candidate: Version, findings: _Findings, history: History
) -> tuple[Verdict, str]:
    is_advisory = policy.enforcement is Enforcement.ADVISORY
    is_judged = is_advisory or not findings.small_classes
    few_patients = "".join(f" ({text})" for text in findings.small_classes)
    if is_judged and (failures := findings.failures):
        sentences = _join_sentences([item.reason for item in failures])
        return Verdict.REJECT, f"failed {len(failures)} of {findings.count}: {sentences}{few_patients}"
    if findings.missing:
        return Verdict.AWAIT_EVALUATIONS, f"{MISSING_EVALUATIONS}{'; '.join(findings.missing)}"
    if not is_judged:
        return Verdict.AWAIT_EVALUATIONS, "; ".join(findings.small_classes)
    approval = history.approvals.get(candidate.digest)
    doubts = findings.doubts
    doubt_text = f", {len(doubts)} open: {_join_sentences([item.reason for item in doubts])}" if doubts else ""
    if (doubts or policy.approval is ApprovalMode.REQUIRED) and not approval:
        if is_advisory:
            return Verdict.AWAIT_APPROVAL, f"judged {findings.count}{doubt_text}{few_patients}"
        if doubts:
            return Verdict.AWAIT_APPROVAL, f"a person must decide; judged {findings.count}{doubt_text}"
        return Verdict.AWAIT_APPROVAL, f"passed {findings.count} and waits for a person's approval"
    approval_text = f", approved by {approval.author}" if approval else ""
    action = "judged" if doubts else "passed"
    return Verdict.PROMOTE, f"{action} {findings.count}{approval_text}{doubt_text}{few_patients}"


def _join_sentences(sentences: Sequence[str]) -> str:
    """Returns the first sentences, and how many there are more."""
    more = len(sentences) - _SHOWN_SENTENCES
    return "; ".join(sentences[:_SHOWN_SENTENCES]) + (f"; and {more} more, see the criteria" if more > 0 else "")


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
        metric = test.task.primary_metric
        earlier_test = replace(test, test_set=history.earlier_test_set(test.test_set))
        scores = [
            item.metrics[metric].value
            for item in evaluations_of(evaluations, earlier_test, FORGETTING)
            if metric in item.metrics
        ]
        worst = test.task.metric.worst(scores)
        if worst is not None:
            yield f" (on the replaced test set of {test.site} it scores {metric} {worst}, not required)"
