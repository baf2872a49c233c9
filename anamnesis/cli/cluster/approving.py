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

DIGEST = len("sha256:") + 64
PREFIX = 4
"""Hex digits that name a version at least."""
EVERY = 0.2
Decision = Literal["Approve", "Reject", "RollBack"]


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says of which version.

    Attributes:
        decision: approve, reject, or make an earlier champion champion again.
        about: field of the approval -> name: ``update`` or ``model``.
        version: the whole digest.
    """

    decision: Decision
    about: tuple[Literal["update", "model"], str]
    version: str


@dataclass(frozen=True, slots=True)
class Answer:
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


def word(
    connection: Connection, decision: Decision, subject: str, version: str, confirmed: Callable[[str], bool]
) -> Word:
    """Returns what a person means, with the whole digest.

    Args:
        connection: to the cluster.
        decision: what is said.
        subject: name of a model or an update; empty: whichever the version belongs to.
        version: digest or the start of it; empty: the one that awaits approval, and that must be confirmed.
        confirmed: asks the person.

    Raises:
        InputError: no version is meant, or several could be, or the one that awaits was not confirmed.
    """
    if decision == "RollBack":
        if not (subject and version):
            raise InputError("rollback: give the model and the version: anamnesis rollback MODEL sha256:... --why ...")
        return Word(decision, ("model", subject), former_champion(connection, subject, version))
    update = candidate(connection, subject, version)
    name, digest = update.metadata.name, update.status.version or ""
    if not version and not confirmed(f"{decision} {digest} of {name}?"):
        raise InputError(f"{name}: not confirmed; name the version that you mean: {digest}")
    return Word(decision, ("update", name), digest)


def candidate(connection: Connection, subject: str, version: str) -> ModelUpdate:
    """Returns the update whose candidate is meant.

    Args:
        connection: to the cluster.
        subject: name of an update or a model; empty: any.
        version: digest or the start of it; empty: the one that awaits approval.

    Raises:
        InputError: none or several fit; those that could be meant are named.
    """
    updates = [each for each in connection.all(ModelUpdate) if each.status.version and _about(each, subject)]
    if version:
        start = _start(version)
        fitting = [each for each in updates if (each.status.version or "").startswith(start)]
    else:
        fitting = [each for each in updates if _waits(each)]
    if len({each.status.version for each in fitting}) != 1:
        raise InputError(_which(connection.namespace, f"{subject} {version}", fitting, updates))
    return max(fitting, key=lambda each: (_waits(each), each.metadata.creation_timestamp, each.metadata.name))


def former_champion(connection: Connection, model: str, version: str) -> str:
    """Returns the whole digest of a version that updates of ``model`` brought.

    Raises:
        InputError: a part of a digest was given, and none or several fit.
    """
    connection.get(ContinualModel, model)
    if len(version) == DIGEST:
        return version
    own = [each for each in connection.all(ModelUpdate) if each.spec.model == model]
    known = {digest for each in own for digest in (each.status.version, each.spec.base) if digest}
    found = sorted(digest for digest in known if digest.startswith(_start(version)))
    if len(found) != 1:
        raise InputError(
            f"version {version!r}: {len(found)} versions that the updates of {model} name begin so; give the whole "
            "digest (anamnesis registry list --registry URL shows all)"
        )
    return found[0]


def say(connection: Connection, word: Word, why: str) -> Answer:
    """Creates the UpdateApproval and returns it as not examined yet."""
    field, name = word.about
    who = connection.whoami()
    spec = {field: name, "version": word.version, "decision": word.decision, "approver": who, "reason": why}
    prefix = f"{name[:40].rstrip('-')}-{word.decision.lower()}-"
    made = connection.create(UpdateApproval, {"generateName": prefix, "namespace": connection.namespace}, spec)
    return Answer(made.metadata.name, who, word.version, ApprovalState.PENDING, "")


def examined(
    connection: Connection,
    said: Answer,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Waits for the operator's answer to a word and returns it.

    Raises:
        RefusedError: the operator does not accept it; the message says why.
        UnreachableError: no answer within ``seconds``.
    """
    deadline = clock() + seconds
    while True:
        recorded = connection.get(UpdateApproval, said.approval).status.condition("Recorded")
        if recorded is not None and recorded.status == "True":
            return Answer(said.approval, said.approver, said.version, recorded.reason, recorded.message)
        if recorded is not None and recorded.status == "False" and recorded.reason != ApprovalState.PENDING:
            raise RefusedError(f"UpdateApproval {said.approval}: {recorded.reason}: {recorded.message}")
        if clock() >= deadline:
            raise UnreachableError(
                f"UpdateApproval {said.approval} is made, and the operator has not answered within {seconds:.0f} s; it "
                f"does when it is back: kubectl get updateapproval -n {connection.namespace} {said.approval}"
            )
        sleep(EVERY)


def _start(version: str) -> str:
    digits = version.removeprefix("sha256:")
    if len(digits) < PREFIX:
        raise InputError(f"version {version!r}: give at least {PREFIX} hex digits of the digest")
    return f"sha256:{digits}"


def _about(update: ModelUpdate, subject: str) -> bool:
    return subject in ("", update.metadata.name, update.spec.model)


def _waits(update: ModelUpdate) -> bool:
    decided = update.status.condition("Decided")
    return decided is not None and decided.reason == UpdateState.AWAITING_APPROVAL


def _which(namespace: str, asked: str, fitting: list[ModelUpdate], updates: list[ModelUpdate]) -> str:
    shown = fitting or [each for each in updates if _waits(each)]
    known = ", ".join(f"{each.metadata.name} with {each.status.version}" for each in shown) or "none"
    what = "these fit" if fitting else "waiting for approval"
    return f"{asked.strip() or 'no version named'}: {len(fitting)} fit in namespace {namespace}; {what}: {known}"
