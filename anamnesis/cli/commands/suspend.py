"""``suspend`` and ``resume``: stop and start the updates of a model on a cluster."""

import typer

from anamnesis.cli.options import ContextOption, JsonOption, ModelArgument, NamespaceOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(epilog=format_examples("anamnesis suspend -n wards chest"))(suspend)
    app.command(epilog=format_examples("anamnesis resume -n wards chest"))(resume)


def suspend(
    model: ModelArgument, namespace: NamespaceOption = "", context: ContextOption = "", as_json: JsonOption = False
) -> None:
    """Stops new updates of a model on a cluster.

    A running update finishes, but its result is not decided. Scheduled evaluations continue.
    """
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.update_requests import set_state
    from anamnesis.cli.output import print_result

    set_state(connect(namespace, context), model, "Suspended")
    print_result({"model": model, "state": "Suspended"}, [f"{model} is suspended"], as_json)


def resume(
    model: ModelArgument, namespace: NamespaceOption = "", context: ContextOption = "", as_json: JsonOption = False
) -> None:
    """Resumes a suspended model."""
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.update_requests import set_state
    from anamnesis.cli.output import print_result

    set_state(connect(namespace, context), model, "Active")
    print_result({"model": model, "state": "Active"}, [f"{model} is active"], as_json)
