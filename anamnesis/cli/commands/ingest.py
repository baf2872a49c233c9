"""``ingest``: make a snapshot of what lies at a site."""

import typer

from anamnesis.cli.options import Files, Json, ModelName, SiteName, Workers, examples


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=examples("anamnesis ingest -f model.yaml", "anamnesis ingest -f model.yaml --site guangzhou --json")
    )(ingest)


def ingest(
    files: Files, site: SiteName = "", model: ModelName = "", workers: Workers = 2, as_json: Json = False
) -> None:
    """Makes a snapshot of a site's data.

    Validated, de-identified, split by patient; without --site, of every site in turn. Equal files give the equal
    snapshot; nothing is learned.
    """
    from anamnesis.cli.output import show, table
    from anamnesis.cli.progress import reporter
    from anamnesis.local.context import select
    from anamnesis.local.sources import ingest_site
    from anamnesis.records import decode, short_digest
    from anamnesis.snapshots import IngestResult

    selected = select(files, model)
    sites = [selected.site(site)] if site else list(selected.resources.sites_of(selected.model))
    with reporter() as tell:
        results = {each.name: decode(IngestResult, ingest_site(selected, each, tell, workers)) for each in sites}
    counts = list(dict.fromkeys(name for result in results.values() for name in result.counts))
    rows = [
        [
            name,
            short_digest(found.snapshot),
            *(found.counts.get(key, 0) for key in counts),
            "as before" if found.reused else "new",
        ]
        for name, found in results.items()
    ]
    show(results, table(["site", "snapshot", *counts, ""], rows), as_json)
