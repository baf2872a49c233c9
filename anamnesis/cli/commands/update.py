"""``update``: learn one site now."""

import typer

from anamnesis.cli.options import (
    AuthorOption,
    ClusterFilesOption,
    ContextOption,
    JsonOption,
    ModelOption,
    NamespaceOption,
    OptionalModelArgument,
    SiteOption,
    WorkersOption,
    format_examples,
)


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis update -f model.yaml --site guangzhou", "anamnesis update -n wards chest --site guangzhou"
        )
    )(update)


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

    Ignores the order of sites, and retries data that was rejected or rolled back. On a cluster it requests the update
    from the operator, which then ignores trigger, schedule and maintenance window.
    """
    from anamnesis.cli.output import print_result

    if not files:
        from anamnesis.cli.cluster.connection import connect
        from anamnesis.cli.cluster.update_requests import request_update

        request = request_update(connect(namespace, context), name or model, site)
        line = f"{request.model}: requested update {request.counter} of {request.site}; see anamnesis status"
        return print_result(request, [line], as_json)
    from anamnesis.cli.describe import describe_model_status
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import login_name, select_model
    from anamnesis.local.learning import learn_site

    selected_model = select_model(files, name or model)
    learned_site = selected_model.site(site)
    with open_reporter() as progress_reporter:
        result = learn_site(
            selected_model, learned_site, progress_reporter, author=author or login_name(), workers=workers
        )
    return print_result(result, describe_model_status(result.model, result.status), as_json)
