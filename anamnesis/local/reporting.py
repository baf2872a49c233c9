"""The one place where commands ask for a report."""

from collections.abc import Sequence
from pathlib import Path

from anamnesis.local.context import Selected
from anamnesis.local.sources import looker
from anamnesis.operator.addresses import registry_url
from anamnesis.operator.requests import configuration, site_ref
from anamnesis.records.timestamps import utc_now
from anamnesis.updates.reporting import Subject, write_report


def write(models: Sequence[Selected], folder: Path) -> Path:
    """Writes ``report.html`` and ``report.json`` of several models into ``folder``; returns the page's path."""
    title = ", ".join(selected.model.name for selected in models)
    created = utc_now().isoformat(timespec="seconds")
    return write_report(title, [_subject(selected) for selected in models], folder, created)


def _subject(selected: Selected) -> Subject:
    look, model = looker(selected), selected.model
    holdings = {site.name: look(site) for site in selected.resources.sites_of(model)}
    sites = tuple(
        site_ref(selected.resources.sites[name], holding.test_set)
        for name, holding in holdings.items()
        if holding.test_set
    )
    return Subject(model.name, configuration(model.resource.spec).method, registry_url(model), sites)
