"""Verifies the log: each entry is signed, and each decision of a person has its UpdateApproval. Pure.

An entry is verified once; the status records how far. So an approval may be deleted after its entry was verified. In
the first round of a model, for example one that was applied again on its registry, the signatures alone count.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from anamnesis.operator.api.annotations import CHECKED_LOG_ENTRY
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.model import ContinualModel
from anamnesis.records import EntryKind, LogEntry
from anamnesis.registry.signature_verification import UnverifiedEntry
from anamnesis.registry.signing import Signing

_PERSON_DECISIONS = {
    EntryKind.APPROVE: "Approve",
    EntryKind.REJECT: "Reject",
    EntryKind.ROLL_BACK: "RollBack",
    EntryKind.WITHDRAW: "Withdraw",
}
"""Kind of an entry -> the decision of the UpdateApproval that it records."""


@dataclass(frozen=True, slots=True)
class LogVerification:
    """How far the log is verified.

    Attributes:
        is_signed: the model lists its keys; without them, nothing is verified.
        verified_entry: the last entry up to which every entry is verified, or none.
        unverified_entries: the entries after it that are not.
    """

    is_signed: bool = False
    verified_entry: LogEntry | None = None
    unverified_entries: tuple[UnverifiedEntry, ...] = ()


def verify_entries(
    model: ContinualModel, entries: Sequence[LogEntry], approvals: Iterable[UpdateApproval], signing: Signing
) -> LogVerification:
    """Returns how far the log of a model is verified.

    Args:
        model: its status has what was verified before; an annotation has the entry up to which a person checked.
        entries: of the log.
        approvals: the UpdateApprovals of the model that exist.
        signing: the keys of the model.
    """
    if not signing.public_keys:
        return LogVerification()
    start = max(_verified_before(model, entries), _checked_by_person(model, entries))
    is_first_round = model.status.verified_log_entry is None
    verifier = _Verifier(signing, model, tuple(approvals), _approved_versions(entries, signing))
    unverified_entries = []
    for entry in entries[start:]:
        problem = signing.problem_of(entry) or ("" if is_first_round else verifier.approval_problem(entry))
        if problem:
            unverified_entries.append(UnverifiedEntry(entry, problem))
    verified_count = unverified_entries[0].entry.number - 1 if unverified_entries else len(entries)
    return LogVerification(True, entries[verified_count - 1] if verified_count else None, tuple(unverified_entries))


@dataclass(frozen=True, slots=True)
class _Verifier:
    signing: Signing
    model: ContinualModel
    approvals: tuple[UpdateApproval, ...]
    approved_versions: Set[str]

    def approval_problem(self, entry: LogEntry) -> str:
        """Returns why the decision behind a signed entry is not that of a person of this cluster, or empty."""
        signer = self.signing.signer
        is_own_entry = signer is not None and entry.signature is not None and entry.signature.key == signer.fingerprint
        if not is_own_entry:  # of another cluster or of a machine, whose public key the spec lists
            return ""
        if entry.kind is EntryKind.PROMOTE and self.model.spec.gate.approval == "Required":
            return "" if entry.subject in self.approved_versions else "no signed approval of this version is in the log"
        if entry.kind not in _PERSON_DECISIONS or entry.decision is not None:  # the gate's rejection has a decision
            return ""
        if any(_is_recorded_by(approval, entry) for approval in self.approvals):
            return ""
        return f"no UpdateApproval of this namespace has this decision by {entry.author}"


def _is_recorded_by(approval: UpdateApproval, entry: LogEntry) -> bool:
    uid, spec = approval.metadata.uid, approval.spec
    is_named = entry.approval is not None and entry.approval.uid == uid
    is_same_decision = spec.decision == _PERSON_DECISIONS[entry.kind] and spec.version in (None, entry.subject)
    return is_named and is_same_decision and spec.approver == entry.author


def _approved_versions(entries: Iterable[LogEntry], signing: Signing) -> Set[str]:
    return {entry.subject for entry in entries if entry.kind is EntryKind.APPROVE and signing.is_signed(entry)}


def _verified_before(model: ContinualModel, entries: Sequence[LogEntry]) -> int:
    recorded = model.status.verified_log_entry
    return _matching_count(entries, recorded.number, recorded.digest) if recorded else 0


def _checked_by_person(model: ContinualModel, entries: Sequence[LogEntry]) -> int:
    number, _, digest = model.metadata.annotations.get(CHECKED_LOG_ENTRY, "").partition(":")
    return _matching_count(entries, int(number), digest) if number.isascii() and number.isdigit() else 0


def _matching_count(entries: Sequence[LogEntry], number: int, digest: str) -> int:
    return number if 0 < number <= len(entries) and entries[number - 1].digest == digest else 0
