"""``anamnesis testset``: list the test sets of a site, and issue the next one."""

import typer

from anamnesis.cli.options import (
    AuthorOption,
    FilesOption,
    JsonOption,
    ModelOption,
    RequiredReasonOption,
    SiteOption,
    WorkersOption,
    format_examples,
)

app = typer.Typer(
    help="Lists the frozen test sets of a site; issues the next one.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list", epilog=format_examples("anamnesis testset list -f model.yaml --site guangzhou"))
def list_command(
    files: FilesOption, site: SiteOption = "", model: ModelOption = "", as_json: JsonOption = False
) -> None:
    """Lists the test sets of a site; the last one is in force.

    Without --site it lists those of every site.
    """
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.local.context import select_model
    from anamnesis.local.site_changes import list_test_set_summaries
    from anamnesis.records import short_digest

    selected_model = select_model(files, model)
    sites = [selected_model.site(site)] if site else selected_model.resources.sites_of(selected_model.model)
    summaries = [summary for item in sites for summary in list_test_set_summaries(selected_model, item)]
    rows = [
        [
            summary.site,
            summary.number,
            short_digest(summary.digest),
            summary.cases,
            summary.patients,
            "in force" if summary.is_current else "replaced",
            f"{summary.issued.author}: {summary.issued.reason}" if summary.issued else "",
        ]
        for summary in summaries
    ]
    header = ["site", "number", "test set", "cases", "patients", "state", "issued by"]
    print_result(summaries, format_table(header, rows), as_json)


@app.command(
    epilog=format_examples('anamnesis testset issue -f model.yaml --site guangzhou --reason "labels were swapped"')
)
def issue(
    files: FilesOption,
    reason: RequiredReasonOption,
    site: SiteOption = "",
    model: ModelOption = "",
    author: AuthorOption = "",
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Issues the next test set of a site from its present data, where the frozen one rests on a mistake.

    It has the patients of the earlier sets and of the reserve, with their present labels and identifiers, without those
    that any training split has. The log gets both digests and the reason. The next update is judged on the new set and
    also shows its scores on the earlier one. A command that was interrupted is completed by the same command.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import login_name, select_model
    from anamnesis.local.site_changes import issue_test_set
    from anamnesis.records import short_digest

    selected_model = select_model(files, model)
    with open_reporter() as progress_reporter:
        summary = issue_test_set(
            selected_model,
            selected_model.site(site),
            progress_reporter,
            author=author or login_name(),
            reason=reason,
            workers=workers,
        )
    line = (
        f"test set {summary.number} of {summary.site} is in force: {short_digest(summary.digest)}, {summary.cases} "
        f"cases of {summary.patients} patients; the next update is judged on it"
    )
    print_result(summary, [line], as_json)
