"""``approve``, ``reject``, ``rollback``: decisions of a person; each one becomes an entry of the registry's log.

``withdraw`` has a file of its own, because it is about no version.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anamnesis.cli.options import (
    AuthorOption,
    ClusterFilesOption,
    ClusterLocation,
    ContextOption,
    JsonOption,
    ModelOption,
    NamespaceOption,
    ReasonOption,
    YesOption,
    format_examples,
)
from anamnesis.records.errors import InputError, RefusedError

if TYPE_CHECKING:
    from anamnesis.cli.cluster.approvals import ApprovalDecision, DecisionTarget
    from anamnesis.cli.cluster.connection import Connection
    from anamnesis.local.context import SelectedModel
    from anamnesis.operator.api.candidate_report import CandidateReport

SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|UPDATE|VERSION",
        help="Model, update or version. On a cluster the name of a model with a waiting update is enough: the command "
        "shows the report and the digest, and asks for confirmation.",
    ),
]
OptionalVersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="Digest of the version, or a unique prefix.")
]
WaitOption = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the operator on a cluster.")]


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    for decision_command, example_reason in (
        (APPROVE, "report of 20 November reviewed"),
        (REJECT, "misses small lesions"),
        (ROLL_BACK, "complaints from ward 3"),
    ):
        command_line = f"anamnesis {decision_command.name}"
        local_example, cluster_example = (
            f"{command_line} -f model.yaml sha256:4f1c9a",
            f"{command_line} -n wards chest sha256:4f1c9a",
        )
        epilog = format_examples(
            f'{local_example} --reason "{example_reason}"', f'{cluster_example} --reason "{example_reason}"'
        )
        app.command(decision_command.name, help=decision_command.help, epilog=epilog)(_make_command(decision_command))


@dataclass(frozen=True, slots=True)
class DecisionCommand:
    """One of the commands.

    Attributes:
        name: name of the command.
        help: help text.
        decision: the same decision in an UpdateApproval.
        record: writes the decision to a local registry; returns the document for programs and the line for people.
        shows_report: whether the person reads the report about the version first.
    """

    name: str
    help: str
    decision: "ApprovalDecision"
    record: "Callable[[SelectedModel, str, str, str], tuple[object, str]]"
    shows_report: bool = True


def _approve_locally(selected_model: "SelectedModel", digest: str, author: str, reason: str) -> tuple[object, str]:
    from anamnesis.local.approval import approve_version

    decision = approve_version(selected_model, digest, author, reason)
    return decision, f"{decision.verdict.value}: {decision.reason}"


def _reject_locally(selected_model: "SelectedModel", digest: str, author: str, reason: str) -> tuple[object, str]:
    from anamnesis.records import short_digest
    from anamnesis.registry import reject

    entry = reject(selected_model.registry, digest, author, reason)
    text = f"rejected {short_digest(digest)}"
    return entry, text if entry else f"{text} before; nothing changed"


def _roll_back_locally(selected_model: "SelectedModel", digest: str, author: str, reason: str) -> tuple[object, str]:
    from anamnesis.records import short_digest
    from anamnesis.registry import roll_back

    entry = roll_back(selected_model.registry, digest, author, reason)
    text = f"champion is {short_digest(digest)}"
    return entry, text if entry else f"{text} already; nothing changed"


APPROVE = DecisionCommand(
    "approve",
    "Approves a version by its digest.\n\nIt is promoted at once when it meets all other criteria of the gate.",
    "Approve",
    _approve_locally,
)
REJECT = DecisionCommand(
    "reject",
    "Rejects a version; this is final.\n\n"
    "Its data is used again only when the data grows or the configuration changes.",
    "Reject",
    _reject_locally,
)
ROLL_BACK = DecisionCommand(
    "rollback", "Makes an earlier champion the champion again.", "RollBack", _roll_back_locally, shows_report=False
)


def _make_command(decision_command: DecisionCommand) -> Callable[..., None]:
    def command(
        subject: SubjectArgument,
        reason: ReasonOption,
        version: OptionalVersionArgument = "",
        files: ClusterFilesOption = None,
        author: AuthorOption = "",
        model: ModelOption = "",
        namespace: NamespaceOption = "",
        context: ContextOption = "",
        wait: WaitOption = 60,
        yes: YesOption = False,
        as_json: JsonOption = False,
    ) -> None:
        if not files:
            require_cluster_author(author)
            return _decide_on_cluster(
                decision_command.decision,
                target=_split_target(subject, version, model),
                reason=reason,
                location=ClusterLocation(namespace, context),
                timeout_seconds=wait,
                is_confirmed=yes,
                as_json=as_json,
            )
        from anamnesis.cli.output import print_result
        from anamnesis.local.context import login_name

        selected_model, digest = _select_version(files, subject, version, model)
        if decision_command.shows_report:
            reason = _show_local_report(selected_model, decision_command, digest, reason)
        require_confirmation(f"{decision_command.decision} {digest}", is_confirmed=yes, is_version_given=True)
        document, text = decision_command.record(selected_model, digest, author or login_name(), reason)
        selected_model.remember_head()
        return print_result(document, [text], as_json)

    return command


def _select_version(files: list[Path], subject: str, version: str, model: str) -> "tuple[SelectedModel, str]":
    from anamnesis.local.context import select_model
    from anamnesis.local.versions import find_version

    selected_model = select_model(files, subject if version else model)
    return selected_model, find_version(selected_model.registry, version or subject)


def _split_target(subject: str, version: str, model: str) -> tuple[str, str]:
    """Returns the name of a model or update, and the version; either may be empty."""
    is_version_only = not version and (model or subject.startswith("sha256:"))
    return (model, subject) if is_version_only else (subject, version)


def _decide_on_cluster(
    decision: "ApprovalDecision",
    *,
    target: tuple[str, str],
    reason: str,
    location: ClusterLocation,
    timeout_seconds: float,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    from anamnesis.cli.cluster.approvals import resolve_target
    from anamnesis.cli.cluster.connection import connect

    connection = connect(location.namespace, location.context)
    subject, version = target
    decision_target = resolve_target(connection, decision, subject=subject, version=version)
    _print_report(decision_target.report)
    question = f"{decision} {decision_target.version} of {decision_target.reference[1]}"
    require_confirmation(question, is_confirmed=is_confirmed, is_version_given=bool(version))
    record_on_cluster(connection, decision_target, reason, timeout_seconds=timeout_seconds, as_json=as_json)


def record_on_cluster(
    connection: "Connection", target: "DecisionTarget", reason: str, *, timeout_seconds: float, as_json: bool
) -> None:
    """Creates the UpdateApproval of a decision, and waits until the operator has executed or refused it."""
    from anamnesis.cli.cluster.approvals import create_approval, wait_until_recorded
    from anamnesis.cli.output import print_note, print_result

    approval = create_approval(connection, target, reason)
    print_note(
        f"UpdateApproval {approval.approval}: {approval.approver}: {target.decision} {approval.version}".rstrip()
    )
    outcome = wait_until_recorded(connection, approval, timeout_seconds, report=print_note)
    print_result(outcome, [f"{outcome.reason}: {outcome.message}" if outcome.message else outcome.reason], as_json)


def require_cluster_author(author: str) -> None:
    """Refuses an author on a cluster.

    Raises:
        InputError: an author is given.
    """
    if author:
        raise InputError(
            "--author: not allowed on a cluster, because the user of the kubeconfig is the author; remove it"
        )


def _show_local_report(
    selected_model: "SelectedModel", decision_command: DecisionCommand, digest: str, reason: str
) -> str:
    """Prints the report about a version; returns the reason with the digest of the report, for the log.

    Raises:
        RefusedError: an approval, and the gate still waits for scores.
    """
    from anamnesis.local.candidate_reports import read_candidate_report
    from anamnesis.operator.candidate_reports import report_marker

    report = read_candidate_report(selected_model, digest)
    _print_report(report)
    if report and report.lacks_scores and decision_command is APPROVE:
        raise RefusedError(
            f"{digest}: the gate still waits for scores of this version, so nobody has read them; run 'anamnesis "
            f"evaluate -f FILE --version {digest[:19]}', then approve"
        )
    return f"{reason} {report_marker(report.digest)}" if report else reason


def _print_report(report: "CandidateReport | None") -> None:
    """Prints a report on standard error, so that the result on standard output stays one document."""
    from anamnesis.cli.candidate_report import report_lines
    from anamnesis.cli.output import print_note

    for line in report_lines(report) if report else ():
        print_note(line)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def require_confirmation(question: str, *, is_confirmed: bool, is_version_given: bool) -> None:
    """Asks at a terminal. Elsewhere the whole command is the confirmation, where it names the version.

    Raises:
        InputError: the person did not confirm.
    """
    if is_confirmed or (typer.confirm(f"{question}?") if _is_terminal() else is_version_given):
        return
    raise InputError(f"{question}: not confirmed; to decide without a question, give the version, or --yes")
