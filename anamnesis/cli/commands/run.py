"""``run`` and ``update``: learn."""

import typer

from anamnesis.cli.options import (
    AuthorOption,
    ClusterFilesOption,
    ContextOption,
    FilesOption,
    JsonOption,
    ModelOption,
    NamespaceOption,
    OptionalModelArgument,
    SiteOption,
    WorkersOption,
    format_examples,
)


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis run -f model.yaml",
            "anamnesis run -f models/ --model chest --json",
        )
    )(run)
    app.command(
        epilog=format_examples(
            "anamnesis update -f model.yaml --site guangzhou",
            "anamnesis update -n wards chest --site guangzhou",
        )
    )(update)


def run(
    files: FilesOption,
    model: ModelOption = "",
    workers: WorkersOption = 2,
    author: AuthorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Learns what is new, until nothing is left.

    Every site that is not learned yet is learned, in the order the sites joined. Killed anywhere, the same command
    continues; called again, it says that there is nothing new.
    """
    from anamnesis.cli.describe import describe_model_status
    from anamnesis.cli.output import print_note, print_result
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import login_name, select_models
    from anamnesis.local.learning import learn

    results = []
    for selected_model in select_models(files, model):
        with open_reporter() as progress_reporter:
            result = learn(selected_model, progress_reporter, author or login_name(), workers)
        results.append(result)
        if not result.updates:
            print_note(f"{selected_model.model.name}: nothing new to learn")
    print_result(
        results, (line for result in results for line in describe_model_status(result.model, result.status)), as_json
    )


def update(
    name: OptionalModelArgument = "",
    files: ClusterFilesOption = None,
    site: SiteOption = "",
    model: ModelOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = "",
    workers: WorkersOption = 2,
    author: AuthorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Learns one site on top of the champion.

    Whatever the order says; this is also how data is tried again that was rejected or rolled back. On a cluster it
    asks the operator to, whatever trigger, schedule and window say.
    """
    from anamnesis.cli.output import print_result

    if not files:
        from anamnesis.cli.cluster.connection import connect
        from anamnesis.cli.cluster.requesting import request_update

        requested_update = request_update(connect(namespace, context), name or model, site)
        line = f"{requested_update.model}: asked for an update of {requested_update.site} (number {requested_update.counter}); see anamnesis status"
        return print_result(requested_update, [line], as_json)
    from anamnesis.cli.describe import describe_model_status
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import login_name, select_model
    from anamnesis.local.learning import learn_site

    selected_model = select_model(files, name or model)
    with open_reporter() as progress_reporter:
        result = learn_site(
            selected_model, selected_model.site(site), progress_reporter, author or login_name(), workers
        )
    return print_result(result, describe_model_status(result.model, result.status), as_json)
