"""Decisions of a person on a version: creates an UpdateApproval and waits until the operator records it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from anamnesis.cli.cluster.connection import Connection
from anamnesis.operator.api import ContinualModel, UpdateApproval, condition_types
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState
from anamnesis.records import InputError, RefusedError, UnreachableError

DIGEST_LENGTH = len("sha256:") + 64
MINIMUM_HEX_DIGITS = 4
"""Minimum length of a prefix that names a version."""
POLL_SECONDS = 0.2
PROGRESS_SECONDS = 10.0
"""How often a command that waits says what it waits for."""
ApprovalDecision = Literal["Approve", "Reject", "RollBack", "Withdraw"]


@dataclass(frozen=True, slots=True)
class DecisionTarget:
    """A decision and the version that it is about.

    Attributes:
        decision: approve, reject, roll back to an earlier champion, or withdraw the champion.
        reference: field of the approval (``update`` or ``model``) and the name in it.
        version: the whole digest; empty for a withdrawal.
        report: the report about a candidate, where the operator has written it.
        report_digest: its digest.
    """

    decision: ApprovalDecision
    reference: tuple[Literal["update", "model"], str]
    version: str
    report: CandidateReport | None = None
    report_digest: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalOutcome:
    """State of an UpdateApproval.

    Attributes:
        approval: name of the UpdateApproval.
        approver: its author.
        version: the whole digest.
        reason: reason of the condition ``Recorded``.
        message: message of that condition.
    """

    approval: str
    approver: str
    version: str
    reason: str
    message: str


def resolve_target(connection: Connection, decision: ApprovalDecision, *, subject: str, version: str) -> DecisionTarget:
    """Returns the version that a person means, with the whole digest.

    Args:
        connection: to the cluster.
        decision: the decision.
        subject: name of a model or an update; empty: any with this version.
        version: digest or a prefix of it; empty: the version that awaits approval.

    Raises:
        InputError: no version matches, or several match.
    """
    if decision == "RollBack":
        if not (subject and version):
            raise InputError(
                "rollback: give the model and the version: anamnesis rollback MODEL sha256:... --reason ..."
            )
        return DecisionTarget(decision, ("model", subject), resolve_former_champion(connection, subject, version))
    update = find_candidate(connection, subject, version)
    name, status = update.metadata.name, update.status
    return DecisionTarget(decision, ("update", name), status.version or "", status.report, status.report_digest)


def find_candidate(connection: Connection, subject: str, version: str) -> ModelUpdate:
    """Returns the update with the candidate that a person means.

    Args:
        connection: to the cluster.
        subject: name of an update or a model; empty: any.
        version: digest or a prefix of it; empty: the version that awaits approval.

    Raises:
        InputError: no update or several updates match; the message lists them.
    """
    updates = [
        update for update in connection.list_all(ModelUpdate) if update.status.version and _concerns(update, subject)
    ]
    if version:
        prefix = _digest_prefix(version)
        matching_updates = [update for update in updates if (update.status.version or "").startswith(prefix)]
    else:
        matching_updates = [update for update in updates if _awaits_approval(update)]
    if len({update.status.version for update in matching_updates}) != 1:
        raise InputError(_no_single_match(connection, subject, version, updates, matching_updates))
    return max(
        matching_updates,
        key=lambda each: (_awaits_approval(each), each.metadata.creation_timestamp, each.metadata.name),
    )


def _no_single_match(
    connection: Connection,
    subject: str,
    version: str,
    updates: Sequence[ModelUpdate],
    matching_updates: Sequence[ModelUpdate],
) -> str:
    """Says what does not exist, and what could be meant."""
    place = f"namespace {connection.namespace}"
    if matching_updates:
        return (
            f"{place}: {len(matching_updates)} updates match {f'{subject} {version}'.strip() or 'any model'}; give the "
            f"name of one update and its version: {_describe_updates(matching_updates)}"
        )
    waiting_updates = [update for update in connection.list_all(ModelUpdate) if _awaits_approval(update)]
    waiting = f"these versions wait for approval: {_describe_updates(waiting_updates)}"
    advice = (
        waiting
        if waiting_updates
        else "no version waits for approval; to see all models and updates, run: "
        f"anamnesis status -n {connection.namespace}"
    )
    if subject and not updates:
        return f"{place}: no ContinualModel and no ModelUpdate with a version is called {subject!r}; {advice}"
    if version:
        owner = f"update of {subject}" if subject else "update"
        return f"{place}: no {owner} has a version that begins with {version}; {advice}"
    return f"{place}: no version of {subject or 'any model'} waits for approval; {advice}"


def resolve_former_champion(connection: Connection, model: str, version: str) -> str:
    """Returns the whole digest of a version from the updates of ``model``.

    Raises:
        InputError: ``version`` is a prefix, and no version or several versions match.
    """
    connection.get(ContinualModel, model)
    if len(version) == DIGEST_LENGTH:
        return version
    model_updates = [update for update in connection.list_all(ModelUpdate) if update.spec.model == model]
    digests = {
        digest for update in model_updates for digest in (update.status.version, update.spec.base_version) if digest
    }
    matching_digests = sorted(digest for digest in digests if digest.startswith(_digest_prefix(version)))
    if len(matching_digests) != 1:
        number = len(matching_digests) or "none"
        raise InputError(
            f"version {version!r}: found {number} of the versions of {model} with this prefix, expected one; give the "
            "whole digest. To see all versions, run: anamnesis registry list --registry URL"
        )
    return matching_digests[0]


def create_approval(connection: Connection, target: DecisionTarget, reason: str) -> ApprovalOutcome:
    """Creates the UpdateApproval and returns it as pending."""
    field, name = target.reference
    approver = connection.whoami()
    spec = {field: name, "decision": target.decision, "approver": approver, "reason": reason}
    if target.version:
        spec["version"] = target.version
    if target.report_digest:
        spec["report"] = target.report_digest
    name_prefix = f"{name[:40].rstrip('-')}-{target.decision.lower()}-"
    approval = connection.create(UpdateApproval, {"generateName": name_prefix, "namespace": connection.namespace}, spec)
    return ApprovalOutcome(
        approval=approval.metadata.name,
        approver=approver,
        version=target.version,
        reason=ApprovalState.PENDING,
        message="",
    )


def wait_until_recorded(
    connection: Connection,
    approval: ApprovalOutcome,
    timeout_seconds: float,
    *,
    report: Callable[[str], None] = lambda text: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ApprovalOutcome:
    """Waits until the operator recorded an approval and returns its state.

    Args:
        connection: to the cluster.
        approval: the approval.
        timeout_seconds: how long to wait.
        report: called with what the command waits for, now and then.
        clock: seconds.
        sleep: waits for some seconds.

    Raises:
        RefusedError: the operator refused the approval; the message gives the reason.
        UnreachableError: the operator did neither within ``timeout_seconds``.
    """
    deadline, report_at = clock() + timeout_seconds, clock() + PROGRESS_SECONDS
    while True:
        condition = connection.get(UpdateApproval, approval.approval).status.condition(condition_types.RECORDED)
        if condition is not None and condition.status == "True":
            return replace(approval, reason=condition.reason, message=condition.message)
        if condition is not None and condition.status == "False" and condition.reason != ApprovalState.PENDING:
            raise RefusedError(f"UpdateApproval {approval.approval}: {condition.reason}: {condition.message}")
        cause = condition.message if condition and condition.message else "the operator has not read the approval yet"
        if clock() >= deadline:
            raise UnreachableError(
                f"UpdateApproval {approval.approval} was created, but the operator did not process it within "
                f"{timeout_seconds:.0f} s: {cause}. The decision stands, and the operator will execute it: do not "
                "repeat the command. Check that the pod of the operator runs, then "
                f"see: kubectl get updateapproval -n {connection.namespace} {approval.approval}"
            )
        if clock() >= report_at:
            report(f"waiting for the operator: {cause}")
            report_at = clock() + PROGRESS_SECONDS
        sleep(POLL_SECONDS)


def _digest_prefix(version: str) -> str:
    digits = version.removeprefix("sha256:")
    if len(digits) < MINIMUM_HEX_DIGITS:
        raise InputError(f"version {version!r}: give at least {MINIMUM_HEX_DIGITS} hex digits of the digest")
    return f"sha256:{digits}"


def _concerns(update: ModelUpdate, subject: str) -> bool:
    return subject in ("", update.metadata.name, update.spec.model)


def _awaits_approval(update: ModelUpdate) -> bool:
    condition = update.status.condition(condition_types.DECIDED)
    return condition is not None and condition.reason == UpdateState.AWAITING_APPROVAL


def _describe_updates(updates: Sequence[ModelUpdate]) -> str:
    return ", ".join(f"{update.metadata.name} with {update.status.version}" for update in updates)
