"""The gate's decision on a candidate, and the entries of the registry's log."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from anamnesis.records.codec import encode
from anamnesis.records.digests import digest_json
from anamnesis.records.metric_names import CALIBRATION_ERROR, CALIBRATION_SLOPE
from anamnesis.records.signature import Signature


class Verdict(StrEnum):
    """The verdicts of the gate."""

    PROMOTE = "promote"
    AWAIT_EVALUATIONS = "await_evaluations"
    AWAIT_APPROVAL = "await_approval"
    REJECT = "reject"
    SUPERSEDED = "superseded"


class Enforcement(StrEnum):
    """Whether a failed gate stops a version."""

    ENFORCED = "Enforced"
    ADVISORY = "Advisory"
    """The verdict is recorded, but the version is promoted anyway: for research and demonstrations."""


class CriterionResult(StrEnum):
    """The result of one criterion."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    """The test patients are too few to say; a person decides."""
    MISSING = "missing"
    """Not measured yet."""
    NOT_APPLICABLE = "not_applicable"
    """Shown, and not judged: it neither waits nor fails. The reason says why, such as that nothing is measured."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of a decision.

    Attributes:
        name: ``floor``, ``ceiling``, ``recall``, ``forgetting``, ``recall_drop``, ``saliency``, ``calibration`` or
            ``site_inferred``.
        site: the site of the test set.
        task: the task's name.
        value: the measured value; none where nothing was measured. For ``forgetting`` and ``recall_drop``: how much
            worse the candidate scores than the reference version.
        limit: the lowest passing value, or the highest one where ``is_limit_highest``; none where it is not declared,
            or is measured with a value that is missing.
        result: what follows for the candidate.
        metric: name of the measured metric.
        reference: for a drop: digest of the version that the candidate is compared with.
        low: lower end of the interval that was compared with the limit, where there is one.
        high: its upper end, where there is one.
        patients: number of test patients behind the value; 0 where it was not counted.
        detectable: for a drop: the smallest drop that so many patients could have excluded.
        reason: one sentence for people; empty where the criterion passed.
    """

    name: str
    site: str
    task: str
    value: Decimal | None
    limit: Decimal | None
    result: CriterionResult
    metric: str = ""
    reference: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    patients: int = 0
    detectable: Decimal | None = None
    reason: str = ""

    @property
    def is_limit_highest(self) -> bool:
        """Whether the limit is the highest passing value; else it is the lowest."""
        return is_highest_limit(self.name, self.metric, self.limit)


def is_highest_limit(name: str, metric: str, limit: Decimal | None) -> bool:
    """Returns whether the limit of a criterion is the highest passing value; else it is the lowest."""
    is_upper_slope = metric == CALIBRATION_SLOPE and limit is not None and limit > 1
    return name in ("ceiling", "forgetting", "recall_drop") or metric == CALIBRATION_ERROR or is_upper_slope


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's verdict on one candidate.

    Attributes:
        verdict: the verdict.
        candidate: digest of the candidate.
        base: digest of the version that the candidate was trained from.
        champion: digest of the champion at the time of the decision.
        criteria: each with its value, its limit and its result.
        evaluations: digests of all evaluations that the decision used.
        reason: one sentence for people.
        enforcement: whether the verdict is binding.
    """

    verdict: Verdict
    candidate: str
    base: str | None
    champion: str | None
    criteria: tuple[Criterion, ...]
    evaluations: tuple[str, ...]
    reason: str
    enforcement: Enforcement = Enforcement.ENFORCED


class EntryKind(StrEnum):
    """The kinds of log entries."""

    CLAIM = "claim"
    APPROVE = "approve"
    PROMOTE = "promote"
    REJECT = "reject"
    SUPERSEDE = "supersede"
    ROLL_BACK = "roll_back"
    ADOPT = "adopt"
    """A person gave the registry's model another name."""
    JOIN = "join"
    """The operator of a cluster uses the registry."""
    WITHDRAW = "withdraw"
    """A person took the champion out of use; no version is in use until a person rolls back to one."""
    NO_EFFECT = "no_effect"
    """A person's decision that changed nothing: refused, or in effect before. It is never executed later."""
    ISSUE_TEST_SET = "issue_test_set"
    """A person replaced the test set of a site; no version is judged on the earlier one any more."""
    REKEY = "rekey"
    """A person replaced the split key of a site."""


class PersonDecision(StrEnum):
    """The decisions that a person can make."""

    APPROVE = "Approve"
    REJECT = "Reject"
    ROLL_BACK = "RollBack"
    WITHDRAW = "Withdraw"


class DecisionOutcome(StrEnum):
    """What came of a person's decision. It is decided once, at one position of the log."""

    RECORDED = "Recorded"
    ALREADY_IN_EFFECT = "AlreadyInEffect"
    UNKNOWN_UPDATE = "UnknownUpdate"
    WRONG_VERSION = "WrongVersion"
    SUPERSEDED = "Superseded"
    ALREADY_REJECTED = "AlreadyRejected"
    ALREADY_PROMOTED = "AlreadyPromoted"
    NEVER_PROMOTED = "NeverPromoted"
    NO_CHAMPION = "NoChampion"
    REPORT_CHANGED = "ReportChanged"
    SCORES_MISSING = "ScoresMissing"

    @property
    def is_refused(self) -> bool:
        """Whether the decision does not count."""
        return self not in (DecisionOutcome.RECORDED, DecisionOutcome.ALREADY_IN_EFFECT)


@dataclass(frozen=True, slots=True)
class RecordedApproval:
    """The UpdateApproval that an entry of the log records.

    Attributes:
        name: of the resource.
        uid: of the resource.
        decision: of the person.
        outcome: what came of it.
        report: digest of the report that the person read; empty where the UpdateApproval names none.
    """

    name: str
    uid: str
    decision: PersonDecision
    outcome: DecisionOutcome
    report: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One link of the hash chain.

    Attributes:
        number: 1, 2, 3, ...
        previous_digest: digest of the entry before; empty for the first.
        nonce: random text of the writer; it distinguishes a lost reply from a lost race.
        kind: what the entry records.
        subject: digest of the version. For a claim: digest of the content of the claim; for ``adopt``: the model's new
            name; for ``join``: the uid of the cluster; for ``issue_test_set``: digest of the test set; for ``rekey``:
            fingerprint of the key.
        author: the person or service account that made the entry; never a patient.
        reason: the reason, in words.
        time: UTC, ISO 8601, seconds.
        decision: the decision behind a promotion or rejection; it names its evaluations by digest.
        deadline: for a claim: when others may take it over, UTC, ISO 8601.
        signature: of the operator or of the machine that wrote it; none where the model has no signing keys.
        approval: the UpdateApproval that this entry records; none for other entries.
        site: the site of a new test set or key; empty for other entries.
        replaced_subject: digest of the test set, or fingerprint of the key, that ``subject`` replaces.
        schema: schema of this record.
    """

    number: int
    previous_digest: str
    nonce: str
    kind: EntryKind
    subject: str
    author: str
    reason: str
    time: str
    decision: Decision | None = None
    deadline: str = ""
    signature: Signature | None = None
    approval: RecordedApproval | None = None
    site: str = ""
    replaced_subject: str = ""
    schema: int = 4

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields; the next entry holds it as ``previous_digest``."""
        return digest_json(encode(self))
