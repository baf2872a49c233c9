"""The test sets that a candidate must be evaluated on before the gate decides."""

from collections.abc import Iterable
from dataclasses import replace

from anamnesis.records import SiteRef
from anamnesis.registry import History, RequiredTestSet
from anamnesis.updates.requests import UpdateRequest


def tested_sites(request: UpdateRequest, test_set: str) -> tuple[SiteRef, ...]:
    """Returns the sites whose test sets judge the candidate: the earlier sites, then the new one."""
    site = request.site
    earlier_sites = (learned_site for learned_site in request.sites if learned_site.name != site.name)
    return (
        *earlier_sites,
        SiteRef(name=site.name, store=request.store, task=site.task, test_set=test_set, modalities=site.modalities),
    )


def earlier_test_sets(sites: Iterable[SiteRef], history: History) -> tuple[SiteRef, ...]:
    """Returns the sites whose test set replaced another one, each with that earlier set."""
    return tuple(
        replace(site, test_set=earlier) for site in sites if (earlier := history.earlier_test_set(site.test_set))
    )


def required_tests(request: UpdateRequest, test_set: str, corrected_labels: int = 0) -> list[RequiredTestSet]:
    """Returns the test sets that the gate requires.

    Args:
        request: of the update.
        test_set: digest of the current test set of the update's site.
        corrected_labels: number of its cases whose label in the source is another one now.
    """
    learned_names = {site.name for site in request.sites}
    return [
        RequiredTestSet(
            site.name,
            site.task,
            site.test_set,
            is_new_site=site.name not in learned_names,
            corrected_labels=corrected_labels if site.name == request.site.name else 0,
        )
        for site in tested_sites(request, test_set)
    ]
