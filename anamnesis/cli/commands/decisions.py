"""``approve``, ``reject``, ``rollback``: what a person decides; each is an entry of the registry's log."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anamnesis.cli.options import ClusterFiles, Context, Json, ModelName, Namespace, Place, Who, Why, examples
from anamnesis.records.errors import InputError

if TYPE_CHECKING:
    from anamnesis.cli.cluster.approving import Decision
    from anamnesis.cli.context import Selected

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
    for command, why in (
        (approve, "report of 20 November reviewed"),
        (reject, "misses small lesions"),
        (rollback, "complaints from ward 3"),
    ):
        call = f"anamnesis {command.__name__}"
        local, cluster = f"{call} -f model.yaml sha256:4f1c9a", f"{call} -n wards chest sha256:4f1c9a"
        app.command(epilog=examples(f'{local} --why "{why}"', f'{cluster} --why "{why}"'))(command)


def approve(
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
    """Approves a version, by digest.

    It is promoted at once when the gate has nothing else against it.
    """
    if not files:
        return _say("Approve", _meant(subject, version, model), why, who, Place(namespace, context), wait, as_json)
    from anamnesis.cli.approving import approve_version
    from anamnesis.cli.context import login
    from anamnesis.cli.output import show

    selected, digest = _local(files, subject, version, model)
    decision = approve_version(selected, digest, who or login(), why)
    return show(decision, [f"{decision.verdict.value}: {decision.reason}"], as_json)


def reject(
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
    """Rejects a version for good.

    Its data is tried again only when it has grown or the configuration is another one.
    """
    if not files:
        return _say("Reject", _meant(subject, version, model), why, who, Place(namespace, context), wait, as_json)
    from anamnesis.cli.context import login
    from anamnesis.cli.output import short, show
    from anamnesis.registry import reject as reject_version

    selected, digest = _local(files, subject, version, model)
    entry = reject_version(selected.registry, digest, who or login(), why)
    return show(entry, [f"rejected {short(digest)}"], as_json)


def rollback(
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
    """Makes an earlier champion champion again."""
    if not files:
        return _say("RollBack", _meant(subject, version, model), why, who, Place(namespace, context), wait, as_json)
    from anamnesis.cli.context import login
    from anamnesis.cli.output import short, show
    from anamnesis.registry import roll_back

    selected, digest = _local(files, subject, version, model)
    entry = roll_back(selected.registry, digest, who or login(), why)
    return show(entry, [f"champion is {short(digest)}"], as_json)


def _local(files: list[Path], subject: str, version: str, model: str) -> "tuple[Selected, str]":
    from anamnesis.cli.context import select
    from anamnesis.cli.versions import find_version

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
