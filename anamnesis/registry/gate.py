"""The gate: a policy and the evaluations of a candidate give a decision. Pure; decimals are compared exactly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from enum import StrEnum

from anamnesis.records import (
    Criterion,
    Decision,
    Enforcement,
    Evaluation,
    InputError,
    Task,
    Verdict,
    Version,
    Window,
)
from anamnesis.registry.history import History

FORGETTING, SALIENCY = "forgetting", "saliency"
SALIENCY_METRIC = "IoU"

_EXACT = Context(prec=200, traps=[Inexact])


class Approval(StrEnum):
    """Whether a person must approve what passed the gate."""

    REQUIRED = "Required"
    AUTOMATIC = "Automatic"


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of one task; none takes the policy's.

    Attributes:
        floor: the primary metric must reach it.
        margin: how far the primary metric may fall below the best that a promoted version had, on earlier tasks.
        saliency_floor: the saliency maps' IoU must reach it, on earlier tasks.
    """

    floor: Decimal | None = None
    margin: Decimal | None = None
    saliency_floor: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("floor", "margin", "saliency_floor"):
            limit = getattr(self, name)
            if limit is not None and not limit.is_finite():
                raise InputError(f"gate.{name}: expected a finite decimal, found {limit}")
        if self.margin is not None and self.margin < 0:
            raise InputError(f"gate.margin: expected 0 or more, found {self.margin}")


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a version must show before it becomes champion.

    Attributes:
        floor: see ``TaskLimits``; none sets no limit.
        margin: see ``TaskLimits``; none sets no limit.
        saliency_floor: see ``TaskLimits``; none sets no limit.
        tasks: limits of single tasks, by the task's name, in place of the above.
        approval: whether a person must approve.
        enforcement: whether the verdict binds.
    """

    floor: Decimal | None = None
    margin: Decimal | None = None
    saliency_floor: Decimal | None = None
    tasks: Mapping[str, TaskLimits] = field(default_factory=dict)
    approval: Approval = Approval.REQUIRED
    enforcement: Enforcement = Enforcement.ENFORCED

    def __post_init__(self) -> None:
        TaskLimits(self.floor, self.margin, self.saliency_floor)  # checks them

    def limits(self, task: str) -> TaskLimits:
        """Returns the limits that hold for a task."""
        own = self.tasks.get(task, TaskLimits())
        return TaskLimits(
            self.floor if own.floor is None else own.floor,
            self.margin if own.margin is None else own.margin,
            self.saliency_floor if own.saliency_floor is None else own.saliency_floor,
        )


@dataclass(frozen=True, slots=True)
class RequiredTest:
    """A test set that must have judged the candidate.

    Attributes:
        site: whose it is.
        task: what is asked there.
        test_set: its digest.
        new: whether the candidate's own update brought the site: then nothing can have been forgotten yet.
    """

    site: str
    task: Task
    test_set: str
    new: bool


References = Mapping[tuple[str, str], Decimal]
"""(digest of a test set, metric) -> the best score of any promoted version."""


def decide(
    policy: GatePolicy,
    candidate: Version,
    tests: Sequence[RequiredTest],
    evaluations: Iterable[Evaluation],
    references: References,
    history: History,
) -> Decision:
    """Returns the verdict on a candidate, with every criterion.

    What comes first counts: a person's rejection; another champion than the candidate's base (``superseded``); an
    evaluation that is missing; a criterion that failed; an approval that is missing. A value equal to its limit passes.
    Where several evaluators of the same kind judged one test set, the worst value counts.

    Args:
        policy: the limits.
        candidate: the version judged.
        tests: every test set that must have judged it; each needs a ``forgetting`` evaluation, even without a limit.
        evaluations: those found; only the candidate's own on frozen sets count.
        references: best score of promoted versions; one for each earlier test set that a margin applies to.
        history: what the log says.

    Raises:
        InputError: an evaluation lacks the metric that is judged.
    """
    digest = candidate.digest
    found = [item for item in evaluations if item.version == digest and item.window is Window.FROZEN]
    found = [item for item in found if any(_judges(item, test) for test in tests)]
    results = [_examine(_applicable(policy, test, candidate), test, found, references) for test in tests]
    criteria = tuple(criterion for passed, _ in results for criterion in passed)
    missing = [text for _, texts in results for text in texts]
    verdict, reason = _verdict(policy, candidate, criteria, missing, history)
    return Decision(
        verdict=verdict,
        candidate=digest,
        base=candidate.base,
        champion=history.champion,
        criteria=criteria,
        evaluations=tuple(sorted(item.digest for item in found)),
        reason=reason,
        enforcement=policy.enforcement,
    )


def _verdict(
    policy: GatePolicy, candidate: Version, criteria: Sequence[Criterion], missing: Sequence[str], history: History
) -> tuple[Verdict, str]:
    digest = candidate.digest
    if history.vetoed(digest):
        entry = history.rejected[digest]
        return Verdict.REJECT, f"{entry.who} rejected it in log entry {entry.number}: {entry.why}"
    if history.champion == digest:
        return Verdict.PROMOTE, "it is the champion"
    if digest in history.promoted:
        return (
            Verdict.SUPERSEDED,
            "it was champion before and another version took its place; roll back to use it again",
        )
    if candidate.base != history.champion:
        return Verdict.SUPERSEDED, f"it was trained from {candidate.base}, the champion is {history.champion}"
    if missing:
        return Verdict.AWAIT_EVALUATIONS, f"missing: {'; '.join(missing)}"
    if failed := [item for item in criteria if not item.passed]:
        return Verdict.REJECT, f"failed {len(failed)} of {_many(criteria)}: {'; '.join(map(_text, failed))}"
    if policy.approval is Approval.REQUIRED and digest not in history.approvals:
        return Verdict.AWAIT_APPROVAL, f"passed {_many(criteria)} and waits for a person's approval"
    by = f", approved by {history.approvals[digest].who}" if digest in history.approvals else ""
    return Verdict.PROMOTE, f"passed {_many(criteria)}{by}"


def _many(criteria: Sequence[Criterion]) -> str:
    return "1 criterion" if len(criteria) == 1 else f"{len(criteria)} criteria"


def _applicable(policy: GatePolicy, test: RequiredTest, candidate: Version) -> TaskLimits:
    """Returns the limits of one test set: what the candidate's base did not know cannot have been forgotten."""
    limits = policy.limits(test.task.name)
    return TaskLimits(floor=limits.floor) if test.new or candidate.base is None else limits


def _examine(
    limits: TaskLimits, test: RequiredTest, evaluations: Sequence[Evaluation], references: References
) -> tuple[list[Criterion], list[str]]:
    """Returns the criteria of one test set and, in words, what is missing to judge them."""
    metric = test.task.primary_metric
    score = _worst(evaluations, test, FORGETTING, metric)
    best = references.get((test.test_set, metric))
    criteria = []
    missing = [] if score is not None else [_name(test, FORGETTING)]
    if limits.floor is not None:
        criteria.append(_floor("floor", test, score, limits.floor))
    if limits.margin is not None:
        loss = None if score is None or best is None else _difference(best, score)
        criteria.append(_budget(test, loss, limits.margin))
        if best is None:
            missing.append(f"{_name(test, FORGETTING)} of any promoted version, to compare with")
    if limits.saliency_floor is not None:
        overlap = _worst(evaluations, test, SALIENCY, SALIENCY_METRIC)
        criteria.append(_floor("saliency", test, overlap, limits.saliency_floor))
        if overlap is None:
            missing.append(_name(test, SALIENCY))
    return criteria, missing


def _floor(name: str, test: RequiredTest, value: Decimal | None, limit: Decimal) -> Criterion:
    return Criterion(name, test.site, test.task.name, value, limit, None if value is None else value >= limit)


def _budget(test: RequiredTest, value: Decimal | None, limit: Decimal) -> Criterion:
    return Criterion("forgetting", test.site, test.task.name, value, limit, None if value is None else value <= limit)


def _judges(evaluation: Evaluation, test: RequiredTest) -> bool:
    wanted = (test.site, test.task.name, test.test_set)
    return (evaluation.site, evaluation.task, evaluation.test_set) == wanted and evaluation.name in (
        FORGETTING,
        SALIENCY,
    )


def _worst(evaluations: Sequence[Evaluation], test: RequiredTest, name: str, metric: str) -> Decimal | None:
    values = []
    for item in evaluations:
        if item.name == name and _judges(item, test):
            if metric not in item.metrics:
                raise InputError(f"{_name(test, name)}: has no {metric}, only {', '.join(sorted(item.metrics))}")
            values.append(item.metrics[metric].value)
    return min(values, default=None)


def _difference(best: Decimal, score: Decimal) -> Decimal:
    try:
        return _EXACT.subtract(best, score)
    except Inexact:
        raise InputError(f"scores of more than {_EXACT.prec} digits cannot be compared") from None


def _name(test: RequiredTest, evaluation: str) -> str:
    return f"{evaluation} evaluation of {test.task.name} at {test.site}"


def _text(criterion: Criterion) -> str:
    sign = ">" if criterion.name == "forgetting" else "<"
    return f"{criterion.name} of {criterion.task} at {criterion.site} {criterion.value} {sign} {criterion.limit}"
