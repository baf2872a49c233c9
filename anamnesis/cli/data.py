"""``ingest``: make a snapshot of what lies at a site."""

import typer

from anamnesis.cli.options import Files, Json, ModelName, SiteName, Workers, examples


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=examples("anamnesis ingest -f model.yaml", "anamnesis ingest -f model.yaml --site guangzhou --json")
    )(ingest)


def ingest(files: Files, site: SiteName = "", model: ModelName = "", workers: Workers = 2, as_json: Json = False) -> None:
    """Makes a snapshot of what lies at a site, or at every site: validated, de-identified, split by patient.

    Equal files give the equal snapshot; nothing is learned.
    """
    from anamnesis.cli.context import select
    from anamnesis.cli.output import short, show, table
    from anamnesis.cli.progress import reporter
    from anamnesis.operator.convert import site_config
    from anamnesis.operator.loop import make_split_key
    from anamnesis.records import encode
    from anamnesis.updates import steps

    selected = select(files, model)
    sites = [selected.site(site)] if site else list(selected.resources.sites_of(selected.model))
    make_split_key(selected.split_key)
    results = {}
    with reporter() as tell:
        for each in sites:
            request = encode(site_config(each))
            results[each.name] = steps.ingest_site(
                request, selected.store(each), selected.split_key, workers, tell.track(each.name)
            )
    counts = list(dict.fromkeys(name for result in results.values() for name in result["counts"]))
    rows = [
        [name, short(result["snapshot"]), *(result["counts"].get(key, 0) for key in counts), "as before" if result["reused"] else "new"]
        for name, result in results.items()
    ]
    show(results, table(["site", "snapshot", *counts, ""], rows), as_json)
