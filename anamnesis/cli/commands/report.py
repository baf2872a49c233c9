"""``report``: one HTML page about one or several models, or the numbers about a version that waits on a cluster."""

from pathlib import Path
from typing import Annotated

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
from anamnesis.records.errors import InputError

_DEFAULT_FOLDER = Path("report")


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis report -f model.yaml --folder report",
            "anamnesis report -f models/",
            "anamnesis report -n wards chest                   numbers about the version that waits",
        )
    )(report)


def report(
    name: OptionalModelArgument = "",
    files: ClusterFilesOption = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder for the report and the model cards, with -f. Default: report.")
    ] = None,
    model: ModelOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = "",
    as_json: JsonOption = False,
) -> None:
    """Writes the report of one or several models.

    With -f: one HTML file that needs no network, the same content as JSON, and a model card as Markdown and HTML; with
    pictures where the site's own store is readable. On a cluster: the scores of the version that waits for a person,
    beside those of its base. This needs no key of a bucket, and shows no number about fewer than 10 patients.
    """
    from anamnesis.cli.output import print_result

    if not files:
        return _print_cluster_report(name or model, folder, namespace, context, as_json=as_json)
    from anamnesis.local.context import select_models
    from anamnesis.local.reporting import write_model_report

    path = write_model_report(select_models(files, name or model), folder or _DEFAULT_FOLDER)
    cards = sorted(map(str, path.parent.glob("model_card*.md")))
    document = {"html": str(path), "json": str(path.with_suffix(".json")), "modelCards": cards}
    return print_result(document, [str(path), *cards], as_json)


def _print_cluster_report(model: str, folder: Path | None, namespace: str, context: str, *, as_json: bool) -> None:
    from anamnesis.cli.candidate_report import report_lines
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.reports import read_published_report
    from anamnesis.cli.output import print_result

    if folder is not None:
        raise InputError("--folder: only with -f; on a cluster the report is printed, use --json to store it")
    if not model:
        raise InputError("report: give the model and its namespace, report -n NAMESPACE MODEL, or files with -f")
    published = read_published_report(connect(namespace, context), model)
    lines = [f"update {published.update}: {published.state}", *report_lines(published.report)]
    print_result(published.document(), [*lines, f"digest of this report: {published.digest}"], as_json)
