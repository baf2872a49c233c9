"""The test sets that a candidate must be evaluated on before the gate decides."""

from anamnesis.records import SiteRef
from anamnesis.registry import RequiredTestSet
from anamnesis.updates.requests import UpdateRequest


def tested_sites(request: UpdateRequest, test_set: str) -> tuple[SiteRef, ...]:
    """Returns the sites whose test sets judge the candidate: the earlier sites, then the new one."""
    site = request.site
    earlier_sites = (learned_site for learned_site in request.sites if learned_site.name != site.name)
    return (
        *earlier_sites,
        SiteRef(name=site.name, store=request.store, task=site.task, test_set=test_set, modality=site.modalities[0]),
    )


def required_tests(request: UpdateRequest, test_set: str) -> list[RequiredTestSet]:
    """Returns the test sets that the gate requires."""
    learned_names = {site.name for site in request.sites}
    return [
        RequiredTestSet(site.name, site.task, site.test_set, is_new_site=site.name not in learned_names)
        for site in tested_sites(request, test_set)
    ]
