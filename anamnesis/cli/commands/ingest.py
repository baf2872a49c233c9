"""``ingest``: make a snapshot of the data of a site."""

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, SiteOption, WorkersOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis ingest -f model.yaml", "anamnesis ingest -f model.yaml --site guangzhou --json"
        )
    )(ingest)


def ingest(
    files: FilesOption,
    site: SiteOption = "",
    model: ModelOption = "",
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Makes a snapshot of a site's data.

    Without --site it makes one for every site. The images are validated, de-identified and split by patient. Equal
    files give an equal snapshot. Nothing is learned.
    """
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import select_model
    from anamnesis.local.sources import ingest_site
    from anamnesis.records import decode, short_digest
    from anamnesis.snapshots import IngestResult

    selected_model = select_model(files, model)
    sites = [selected_model.site(site)] if site else list(selected_model.resources.sites_of(selected_model.model))
    with open_reporter() as progress_reporter:
        results = {
            site_resource.name: decode(
                IngestResult, ingest_site(selected_model, site_resource, progress_reporter, workers)
            )
            for site_resource in sites
        }
    count_names = list(dict.fromkeys(name for result in results.values() for name in result.counts))
    rows = [
        [
            name,
            short_digest(result.snapshot),
            *(result.counts.get(key, 0) for key in count_names),
            "unchanged" if result.reused else "new",
        ]
        for name, result in results.items()
    ]
    print_result(results, format_table(["site", "snapshot", *count_names, ""], rows), as_json)
