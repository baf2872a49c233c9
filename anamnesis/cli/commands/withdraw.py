"""``withdraw``: the emergency stop; no version of a model is in use until a person rolls back to one."""

from pathlib import Path

import typer

from anamnesis.cli.commands.decisions import WaitOption, record_on_cluster, require_cluster_author, require_confirmation
from anamnesis.cli.options import (
    AuthorOption,
    ClusterFilesOption,
    ClusterLocation,
    ContextOption,
    JsonOption,
    ModelOption,
    NamespaceOption,
    OptionalModelArgument,
    ReasonOption,
    YesOption,
    format_examples,
)


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            'anamnesis withdraw -f model.yaml --reason "wrong labels in training"',
            'anamnesis withdraw -n wards chest --reason "wrong labels in training"',
        )
    )(withdraw)


def withdraw(
    reason: ReasonOption,
    name: OptionalModelArgument = "",
    files: ClusterFilesOption = None,
    author: AuthorOption = "",
    model: ModelOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = "",
    wait: WaitOption = 60,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Takes the champion out of use: an emergency stop.

    No version is in use, and nothing is learned or promoted, until a person rolls back to an earlier champion.
    """
    if files:
        return _withdraw_locally(files, name or model, author=author, reason=reason, is_confirmed=yes, as_json=as_json)
    from anamnesis.cli.cluster.approvals import DecisionTarget
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.update_requests import only_model
    from anamnesis.operator.api import ContinualModel

    require_cluster_author(author)
    location = ClusterLocation(namespace, context)
    connection = connect(location.namespace, location.context)
    model_name = name or model or only_model(connection)
    connection.get(ContinualModel, model_name)
    require_confirmation(f"Withdraw the champion of {model_name}", is_confirmed=yes, is_version_given=True)
    target = DecisionTarget("Withdraw", ("model", model_name), version="")
    return record_on_cluster(connection, target, reason, timeout_seconds=wait, as_json=as_json)


def _withdraw_locally(
    files: list[Path], model: str, *, author: str, reason: str, is_confirmed: bool, as_json: bool
) -> None:
    from anamnesis.cli.output import print_result
    from anamnesis.local.context import login_name, select_model
    from anamnesis.records import short_digest
    from anamnesis.registry import withdraw as write_withdrawal

    selected_model = select_model(files, model)
    question = f"Withdraw the champion of {selected_model.model.name}"
    require_confirmation(question, is_confirmed=is_confirmed, is_version_given=True)
    entry = write_withdrawal(selected_model.registry, author or login_name(), reason)
    selected_model.remember_head()
    text = (
        f"version {short_digest(entry.subject)} is withdrawn, and no version is in use; to use an earlier one, run: "
        "anamnesis rollback -f FILE VERSION --reason TEXT"
        if entry
        else "the champion was withdrawn before; nothing changed"
    )
    print_result(entry, [text], as_json)
