"""``status``: the state of models and sites."""

import typer

from anamnesis.cli.options import (
    ClusterFilesOption,
    ContextOption,
    JsonOption,
    ModelOption,
    NamespaceOption,
    OptionalModelArgument,
    format_examples,
)


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis status                           the namespace of the kubeconfig's context",
            "anamnesis status -n wards chest --json",
            "anamnesis status -f model.yaml             without a cluster",
        )
    )(status)


def status(
    name: OptionalModelArgument = "",
    files: ClusterFilesOption = None,
    model: ModelOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = "",
    as_json: JsonOption = False,
) -> None:
    """Shows the state of each model and site.

    What each one waits for and why, the command that approves a waiting version, and the scores of the champion.
    With -f also the last runs and the head of the log.
    """
    from anamnesis.cli.output import print_result

    if not files:
        from anamnesis.cli.cluster.connection import connect
        from anamnesis.cli.cluster.status import read_status, status_lines
        from anamnesis.records.timestamps import utc_now

        namespace_view = read_status(connect(namespace, context), name or model)
        return print_result(namespace_view.document(), status_lines(namespace_view, utc_now()), as_json)
    from anamnesis.cli.describe import describe_local_status
    from anamnesis.local.context import select_models
    from anamnesis.local.status import read_model_status

    model_statuses = [read_model_status(selected_model) for selected_model in select_models(files, name or model)]
    return print_result(
        [model_status.document() for model_status in model_statuses],
        (line for model_status in model_statuses for line in describe_local_status(model_status)),
        as_json,
    )
