"""The versions that a candidate is compared with at a site, on the same patients."""

from anamnesis.records import SiteRef, Version
from anamnesis.storage.store import Store
from anamnesis.updates.version_chain import version_chain


def find_references(store: Store, version: Version, site: SiteRef) -> tuple[str, ...]:
    """Returns the digests of a version's base and of the oldest version of the chain that learned a site.

    The first accepted version stays the same through all updates, so that small losses cannot add up unseen.
    """
    if not version.base:
        return ()
    first_learned = [digest for digest, earlier in version_chain(store, version.base) if earlier.site == site.name]
    return tuple(dict.fromkeys((version.base, *first_learned[-1:])))
