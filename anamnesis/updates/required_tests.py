"""On which test sets a candidate must be judged before anybody decides."""

from anamnesis.records import SiteRef
from anamnesis.registry import RequiredTestSet
from anamnesis.updates.requests import UpdateRequest


def tested_sites(request: UpdateRequest, test_set: str) -> tuple[SiteRef, ...]:
    """Returns every site whose test set judges the candidate: those learned before, then the one learned now."""
    site = request.site
    earlier_sites = (learned_site for learned_site in request.sites if learned_site.name != site.name)
    return (*earlier_sites, SiteRef(site.name, request.store, site.task, test_set, site.modalities[0]))


def required_tests(request: UpdateRequest, test_set: str) -> list[RequiredTestSet]:
    """Returns what the gate needs to have heard from."""
    learned_names = {site.name for site in request.sites}
    return [
        RequiredTestSet(site.name, site.task, site.test_set, is_new_site=site.name not in learned_names)
        for site in tested_sites(request, test_set)
    ]
