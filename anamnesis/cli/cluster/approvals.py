"""A person's word on a version, as an UpdateApproval, and what the operator makes of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from anamnesis.cli.cluster.connection import Connection
from anamnesis.operator.api import ContinualModel, UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState
from anamnesis.records import InputError, RefusedError, UnreachableError

DIGEST_LENGTH = len("sha256:") + 64
MINIMUM_HEX_DIGITS = 4
"""Hex digits that name a version at least."""
POLL_SECONDS = 0.2
ApprovalDecision = Literal["Approve", "Reject", "RollBack"]


@dataclass(frozen=True, slots=True)
class DecisionTarget:
    """What a person says of which version.

    Attributes:
        decision: approve, reject, or make an earlier champion champion again.
        reference: field of the approval -> name: ``update`` or ``model``.
        version: the whole digest.
    """

    decision: ApprovalDecision
    reference: tuple[Literal["update", "model"], str]
    version: str


@dataclass(frozen=True, slots=True)
class ApprovalOutcome:
    """What became of a word.

    Attributes:
        approval: name of the UpdateApproval.
        approver: who said it.
        version: the whole digest.
        reason: of the condition ``Recorded``.
        message: of that condition.
    """

    approval: str
    approver: str
    version: str
    reason: str
    message: str


def resolve_target(
    connection: Connection, decision: ApprovalDecision, subject: str, version: str, confirm: Callable[[str], bool]
) -> DecisionTarget:
    """Returns what a person means, with the whole digest.

    Args:
        connection: to the cluster.
        decision: what is said.
        subject: name of a model or an update; empty: whichever the version belongs to.
        version: digest or the start of it; empty: the one that awaits approval, and that must be confirmed.
        confirm: asks the person.

    Raises:
        InputError: no version is meant, or several could be, or the one that awaits was not confirmed.
    """
    if decision == "RollBack":
        if not (subject and version):
            raise InputError("rollback: give the model and the version: anamnesis rollback MODEL sha256:... --why ...")
        return DecisionTarget(decision, ("model", subject), resolve_former_champion(connection, subject, version))
    update = find_candidate(connection, subject, version)
    name, digest = update.metadata.name, update.status.version or ""
    if not version and not confirm(f"{decision} {digest} of {name}?"):
        raise InputError(f"{name}: not confirmed; name the version that you mean: {digest}")
    return DecisionTarget(decision, ("update", name), digest)


def find_candidate(connection: Connection, subject: str, version: str) -> ModelUpdate:
    """Returns the update whose candidate is meant.

    Args:
        connection: to the cluster.
        subject: name of an update or a model; empty: any.
        version: digest or the start of it; empty: the one that awaits approval.

    Raises:
        InputError: none or several fit; those that could be meant are named.
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
        raise InputError(_ambiguity_message(connection.namespace, f"{subject} {version}", matching_updates, updates))
    return max(
        matching_updates,
        key=lambda each: (_awaits_approval(each), each.metadata.creation_timestamp, each.metadata.name),
    )


def resolve_former_champion(connection: Connection, model: str, version: str) -> str:
    """Returns the whole digest of a version that updates of ``model`` brought.

    Raises:
        InputError: a part of a digest was given, and none or several fit.
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
        raise InputError(
            f"version {version!r}: {len(matching_digests)} versions that the updates of {model} name begin so; give the whole "
            "digest (anamnesis registry list --registry URL shows all)"
        )
    return matching_digests[0]


def create_approval(connection: Connection, target: DecisionTarget, reason: str) -> ApprovalOutcome:
    """Creates the UpdateApproval and returns it as not examined yet."""
    field, name = target.reference
    approver = connection.whoami()
    spec = {field: name, "version": target.version, "decision": target.decision, "approver": approver, "reason": reason}
    name_prefix = f"{name[:40].rstrip('-')}-{target.decision.lower()}-"
    approval = connection.create(UpdateApproval, {"generateName": name_prefix, "namespace": connection.namespace}, spec)
    return ApprovalOutcome(approval.metadata.name, approver, target.version, ApprovalState.PENDING, "")


def wait_until_recorded(
    connection: Connection,
    approval: ApprovalOutcome,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ApprovalOutcome:
    """Waits for the operator's answer to a word and returns it.

    Raises:
        RefusedError: the operator does not accept it; the message says why.
        UnreachableError: no answer within ``timeout_seconds``.
    """
    deadline = clock() + timeout_seconds
    while True:
        condition = connection.get(UpdateApproval, approval.approval).status.condition("Recorded")
        if condition is not None and condition.status == "True":
            return ApprovalOutcome(
                approval.approval, approval.approver, approval.version, condition.reason, condition.message
            )
        if condition is not None and condition.status == "False" and condition.reason != ApprovalState.PENDING:
            raise RefusedError(f"UpdateApproval {approval.approval}: {condition.reason}: {condition.message}")
        if clock() >= deadline:
            raise UnreachableError(
                f"UpdateApproval {approval.approval} is made, and the operator has not answered within {timeout_seconds:.0f} s; it "
                f"does when it is back: kubectl get updateapproval -n {connection.namespace} {approval.approval}"
            )
        sleep(POLL_SECONDS)


def _digest_prefix(version: str) -> str:
    digits = version.removeprefix("sha256:")
    if len(digits) < MINIMUM_HEX_DIGITS:
        raise InputError(f"version {version!r}: give at least {MINIMUM_HEX_DIGITS} hex digits of the digest")
    return f"sha256:{digits}"


def _concerns(update: ModelUpdate, subject: str) -> bool:
    return subject in ("", update.metadata.name, update.spec.model)


def _awaits_approval(update: ModelUpdate) -> bool:
    condition = update.status.condition("Decided")
    return condition is not None and condition.reason == UpdateState.AWAITING_APPROVAL


def _ambiguity_message(
    namespace: str, request: str, matching_updates: list[ModelUpdate], updates: list[ModelUpdate]
) -> str:
    listed_updates = matching_updates or [update for update in updates if _awaits_approval(update)]
    descriptions = (
        ", ".join(f"{update.metadata.name} with {update.status.version}" for update in listed_updates) or "none"
    )
    heading = "these fit" if matching_updates else "waiting for approval"
    return f"{request.strip() or 'no version named'}: {len(matching_updates)} fit in namespace {namespace}; {heading}: {descriptions}"
