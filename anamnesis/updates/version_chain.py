"""The chain of versions from a candidate back to the first."""

from collections.abc import Iterator

from anamnesis.records import Version
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store


def version_chain(store: Store, digest: str) -> Iterator[tuple[str, Version]]:
    """Yields (digest, version), the newest first."""
    current: str | None = digest
    while current:
        version = read_version(store, current)
        yield current, version
        current = version.base


def last_version_of_site(store: Store, digest: str, site: str) -> tuple[str, Version] | None:
    """Returns the newest version of the chain that learned ``site``, or none."""
    return next(
        ((version_digest, version) for version_digest, version in version_chain(store, digest) if version.site == site),
        None,
    )


def versions_of_site(store: Store, digest: str, site: str) -> tuple[Version, ...]:
    """Returns the versions of the chain that learned ``site``, the newest first; none for an empty digest."""
    return tuple(version for _, version in version_chain(store, digest) if version.site == site and version.snapshot)


def snapshots_of_site(store: Store, digest: str, site: str) -> tuple[str, ...]:
    """Returns the snapshots of ``site`` that the chain learned, the newest first; none for an empty digest."""
    return tuple(version.snapshot for version in versions_of_site(store, digest, site) if version.snapshot)
