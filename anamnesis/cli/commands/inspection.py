"""``status``, ``methods``, ``doctor``: how things are."""

import typer

from anamnesis.cli.options import (
    ClusterFilesOption,
    ContextOption,
    JsonOption,
    ModelOption,
    NamespaceOption,
    OptionalFilesOption,
    OptionalModelArgument,
    format_examples,
)


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis status                           the namespace of the kubeconfig's context",
            "anamnesis status -n wards chest --json",
            "anamnesis status -f model.yaml             without a cluster",
        )
    )(status)
    app.command(epilog=format_examples("anamnesis methods", "anamnesis methods --json"))(methods)
    app.command(epilog=format_examples("anamnesis doctor", "anamnesis doctor -f model.yaml"))(doctor)


def status(
    name: OptionalModelArgument = "",
    files: ClusterFilesOption = None,
    model: ModelOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = "",
    as_json: JsonOption = False,
) -> None:
    """Says where each model and site stands.

    What it waits for and why, what a person can do about it, and how the champion does. On this machine also what the
    last runs did, and the head of the log.
    """
    from anamnesis.cli.output import print_result

    if not files:
        from anamnesis.cli.cluster.connection import connect
        from anamnesis.cli.cluster.status.read import read_status
        from anamnesis.cli.cluster.status.text import status_lines
        from anamnesis.records.timestamps import utc_now

        namespace_view = read_status(connect(namespace, context), name or model)
        return print_result(namespace_view.document(), status_lines(namespace_view, utc_now()), as_json)
    from anamnesis.cli.describe import describe_local_status
    from anamnesis.local.context import select_models
    from anamnesis.local.status import read_model_status

    model_statuses = [read_model_status(selected_model) for selected_model in select_models(files, name or model)]
    return print_result(
        model_statuses,
        (line for model_status in model_statuses for line in describe_local_status(model_status)),
        as_json,
    )


def methods(as_json: JsonOption = False) -> None:
    """Lists the methods and their options."""
    from anamnesis.cli.describe import describe_method
    from anamnesis.cli.output import print_result
    from anamnesis.operator.api.method import supported_methods

    entries = list(supported_methods().values())
    print_result(entries, (line for entry in entries for line in describe_method(entry)), as_json)


def doctor(files: OptionalFilesOption = None, model: ModelOption = "", as_json: JsonOption = False) -> None:
    """Checks this machine, stores, keys, sources.

    With -f also what belongs to the models: whether stores can be reached and can write if absent, the split key, the
    sources. Ends with 2 when something that is needed is not in order.
    """
    from anamnesis.cli.describe import describe_checks
    from anamnesis.cli.output import print_result
    from anamnesis.local.doctor import run_checks
    from anamnesis.records import InputError

    checks = run_checks(files or [], model)
    print_result(checks, describe_checks(checks), as_json)
    if failed_checks := [check.name for check in checks if check.state == "bad"]:
        raise InputError(f"not in order: {', '.join(failed_checks)}")
