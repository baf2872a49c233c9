"""Which probe goes with which source; and a look that counts a manifest which lies elsewhere."""

from collections.abc import Mapping
from dataclasses import replace

from anamnesis.operator.polling.poller import Glance, Probe
from anamnesis.records import digest_json, hex_of
from anamnesis.sources import manifest_item


def probe_for(url: str) -> Probe:
    """Returns the probe for a source, by the scheme of its URL."""
    if url.startswith("orthanc+"):
        from anamnesis.operator.polling.orthanc import look_at_orthanc  # who has no DICOM server needs no HTTP client

        return look_at_orthanc
    if url.startswith("dicomweb+"):
        from anamnesis.operator.polling.dicomweb import look_at_dicomweb

        return look_at_dicomweb
    from anamnesis.operator.polling.files import look_at_files

    return look_at_files


def look(url: str, manifest: str, cursor: str, environment: Mapping[str, str]) -> Glance:
    """Looks at a source and, where it lies outside, at the manifest of its labels: a corrected label is a change.

    Args:
        url: the source, as ``SiteConfig.source`` has it.
        manifest: as ``LabelSource.manifest`` has it; a path is part of the source, and empty is none.
        cursor: of the last look, or empty.
        environment: credentials.

    Raises:
        InputError: source or manifest is not as expected; ``MissingError`` where it is not there.
        RefusedError: the credentials do not do.
        UnreachableError: it does not answer.
    """
    if "://" not in manifest:
        return probe_for(url)(url, cursor, environment)
    item = manifest_item(manifest, environment)
    tag = hex_of(digest_json([item.etag, item.size]))[:16]
    known, _, rest = cursor.partition(" ")
    glance = probe_for(url)(url, rest if known == tag else "", environment)
    arrival = glance.arrival
    if arrival:
        arrival = replace(arrival, fingerprint=digest_json([arrival.fingerprint, tag]))
    return Glance(arrival, f"{tag} {glance.cursor}")
