"""``ingest``: make a snapshot of the data of a site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, SiteOption, WorkersOption, format_examples
from anamnesis.records.errors import AnamnesisError

if TYPE_CHECKING:
    from anamnesis.snapshots import IngestResult


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
    files give an equal snapshot. Nothing is learned. A site that fails does not stop the others.
    """
    from anamnesis.cli.failures import combine_failures
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import select_model
    from anamnesis.local.sources import ingest_site
    from anamnesis.records import decode, short_digest
    from anamnesis.snapshots import IngestResult

    selected_model = select_model(files, model)
    sites = [selected_model.site(site)] if site else list(selected_model.resources.sites_of(selected_model.model))
    results, failures = {}, {}
    with open_reporter() as progress_reporter:
        for site_resource in sites:
            try:
                result = ingest_site(selected_model, site_resource, progress_reporter, workers)
            except AnamnesisError as error:
                failures[f"Site {site_resource.name}"] = error
            else:
                results[site_resource.name] = decode(IngestResult, result)
    if failures and not results:
        raise combine_failures(failures)
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
    notices = (f"{name}: {notice}" for name, result in results.items() for notice in result.notices)
    lines = [*format_table(["site", "snapshot", *count_names, ""], rows), *_describe_unused_files(results), *notices]
    print_result(results, lines, as_json)
    if failures:
        raise combine_failures(failures)


def _describe_unused_files(results: Mapping[str, IngestResult]) -> Iterator[str]:
    """Yields, for each site, how many files have no sample, why, and where they are listed."""
    for name, result in results.items():
        descriptions: tuple[tuple[int, str, Mapping[str, int]], ...] = (
            (result.counts.get("quarantined", 0), "quarantined", result.reasons),
            (result.counts.get("foreign", 0), "not for this site", result.foreign_reasons),
            (result.counts.get("copies", 0), "copies of other files", {}),
        )
        for count, description, reasons in descriptions:
            if count:
                yield f"{name}: {count} {description}{':' if reasons else ''}"
                yield from (f"  {number} x {reason}" for reason, number in reasons.items())
        if any(count for count, _, _ in descriptions):
            yield f"{name}: the files are listed in {result.quarantine_list}"
