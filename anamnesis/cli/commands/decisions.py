"""``approve``, ``reject``, ``rollback``: what a person decides; each is an entry of the registry's log."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anamnesis.cli.options import ClusterFiles, Context, Json, ModelName, Namespace, Place, Who, Why, examples
from anamnesis.records.errors import InputError

if TYPE_CHECKING:
    from anamnesis.cli.cluster.approving import Decision
    from anamnesis.local.context import Selected

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|UPDATE|VERSION",
        help="Whose version; left out where the version says it. On a cluster a model whose update waits for approval "
        "may stand alone: the digest is shown and must be confirmed.",
    ),
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Digest of the version, or enough of its start.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="On a cluster: seconds to wait for the operator's answer.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    for decide, why in (
        (APPROVE, "report of 20 November reviewed"),
        (REJECT, "misses small lesions"),
        (ROLL_BACK, "complaints from ward 3"),
    ):
        call = f"anamnesis {decide.name}"
        local, cluster = f"{call} -f model.yaml sha256:4f1c9a", f"{call} -n wards chest sha256:4f1c9a"
        shown = examples(f'{local} --why "{why}"', f'{cluster} --why "{why}"')
        app.command(decide.name, help=decide.help, epilog=shown)(_command(decide))


@dataclass(frozen=True, slots=True)
class Deciding:
    """One of the commands.

    Attributes:
        name: of the command.
        help: what it does.
        decision: what an UpdateApproval calls it.
        record: writes it to a registry on this machine; returns the document, and a line for people.
    """

    name: str
    help: str
    decision: "Decision"
    record: "Callable[[Selected, str, str, str], tuple[object, str]]"


def _approve(selected: "Selected", digest: str, who: str, why: str) -> tuple[object, str]:
    from anamnesis.local.approval import approve_version

    decision = approve_version(selected, digest, who, why)
    return decision, f"{decision.verdict.value}: {decision.reason}"


def _reject(selected: "Selected", digest: str, who: str, why: str) -> tuple[object, str]:
    from anamnesis.records import short_digest
    from anamnesis.registry import reject

    return reject(selected.registry, digest, who, why), f"rejected {short_digest(digest)}"


def _roll_back(selected: "Selected", digest: str, who: str, why: str) -> tuple[object, str]:
    from anamnesis.records import short_digest
    from anamnesis.registry import roll_back

    return roll_back(selected.registry, digest, who, why), f"champion is {short_digest(digest)}"


APPROVE = Deciding(
    "approve",
    "Approves a version, by digest.\n\nIt is promoted at once when the gate has nothing else against it.",
    "Approve",
    _approve,
)
REJECT = Deciding(
    "reject",
    "Rejects a version for good.\n\n"
    "Its data is tried again only when it has grown or the configuration is another one.",
    "Reject",
    _reject,
)
ROLL_BACK = Deciding("rollback", "Makes an earlier champion champion again.", "RollBack", _roll_back)


def _command(decide: Deciding) -> Callable[..., None]:
    def command(
        subject: Subject,
        why: Why,
        version: Version = "",
        files: ClusterFiles = None,
        who: Who = "",
        model: ModelName = "",
        namespace: Namespace = "",
        context: Context = "",
        wait: Wait = 60,
        as_json: Json = False,
    ) -> None:
        if not files:
            meant = _meant(subject, version, model)
            return _say(decide.decision, meant, why, who, Place(namespace, context), wait, as_json)
        from anamnesis.cli.output import show
        from anamnesis.local.context import login

        selected, digest = _local(files, subject, version, model)
        document, line = decide.record(selected, digest, who or login(), why)
        return show(document, [line], as_json)

    return command


def _local(files: list[Path], subject: str, version: str, model: str) -> "tuple[Selected, str]":
    from anamnesis.local.context import select
    from anamnesis.local.versions import find_version

    selected = select(files, subject if version else model)
    return selected, find_version(selected.registry, version or subject)


def _meant(subject: str, version: str, model: str) -> tuple[str, str]:
    """Returns whose version, and which; either may be empty."""
    alone = not version and (model or subject.startswith("sha256:"))
    return (model, subject) if alone else (subject, version)


def _say(
    decision: "Decision", meant: tuple[str, str], why: str, who: str, place: Place, wait: float, as_json: bool
) -> None:
    from anamnesis.cli.cluster.approving import examined, say, word
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.output import note, show

    if who:
        raise InputError("--who: on a cluster you are who your kubeconfig says")
    connection = connect(place.namespace, place.context)
    said = say(connection, word(connection, decision, *meant, _confirmed), why)
    note(f"UpdateApproval {said.approval}: {said.approver} says {decision} to {said.version}")
    answer = examined(connection, said, wait)
    show(answer, [f"{answer.reason}: {answer.message}" if answer.message else answer.reason], as_json)


def _confirmed(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question)
