"""Writes the report of models on this machine."""

from collections.abc import Sequence
from pathlib import Path

from anamnesis.local.candidate_reports import decisions_of_open_versions
from anamnesis.local.context import SelectedModel
from anamnesis.local.sources import make_site_inspector
from anamnesis.operator.addresses import registry_url
from anamnesis.operator.requests import configuration, public_keys, site_ref
from anamnesis.records import SigningSettings
from anamnesis.records.timestamps import utc_now
from anamnesis.updates.reporting import ReportSubject, write_report


def write_model_report(models: Sequence[SelectedModel], folder: Path) -> Path:
    """Writes ``report.html`` and ``report.json`` of several models into ``folder``; returns the page's path."""
    title = ", ".join(selected_model.model.name for selected_model in models)
    created = utc_now().isoformat(timespec="seconds")
    return write_report(title, [_report_subject(selected_model) for selected_model in models], folder, created)


def _report_subject(selected_model: SelectedModel) -> ReportSubject:
    inspect_site, model = make_site_inspector(selected_model), selected_model.model
    holdings = {site.name: inspect_site(site) for site in selected_model.resources.sites_of(model)}
    sites = tuple(
        site_ref(selected_model.resources.sites[name], holding.test_set)
        for name, holding in holdings.items()
        if holding.test_set
    )
    method, signing = (
        configuration(model.resource.spec).method,
        SigningSettings(public_keys=public_keys(model.resource.spec)),
    )
    pending = decisions_of_open_versions(selected_model)
    return ReportSubject(model.name, method, registry_url(model), sites, signing, pending)
