"""On which test sets a candidate must be judged before anybody decides."""

from anamnesis.records import SiteRef
from anamnesis.registry import RequiredTest
from anamnesis.updates.requests import UpdateRequest


def all_sites(request: UpdateRequest, test_set: str) -> tuple[SiteRef, ...]:
    """Returns every site whose test set judges the candidate: those learned before, then the one learned now."""
    site = request.site
    earlier = (known for known in request.sites if known.name != site.name)
    return (*earlier, SiteRef(site.name, request.store, site.task, test_set, site.modalities[0]))


def required_tests(request: UpdateRequest, test_set: str) -> list[RequiredTest]:
    """Returns what the gate needs to have heard from."""
    known = {site.name for site in request.sites}
    return [
        RequiredTest(site.name, site.task, site.test_set, new=site.name not in known)
        for site in all_sites(request, test_set)
    ]
