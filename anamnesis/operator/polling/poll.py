"""Which probe goes with which source; and a look that counts a manifest which lies elsewhere."""

from collections.abc import Mapping
from dataclasses import replace

from anamnesis.operator.polling.poller import PollResult, SourcePoller
from anamnesis.records import digest_hex, digest_json
from anamnesis.sources import find_label_manifest


def poller_for(url: str) -> SourcePoller:
    """Returns the probe for a source, by the scheme of its URL."""
    if url.startswith("orthanc+"):
        from anamnesis.operator.polling.orthanc import poll_orthanc  # who has no DICOM server needs no HTTP client

        return poll_orthanc
    if url.startswith("dicomweb+"):
        from anamnesis.operator.polling.dicomweb import poll_dicomweb

        return poll_dicomweb
    from anamnesis.operator.polling.files import poll_files

    return poll_files


def poll_source(url: str, manifest: str, cursor: str, environment: Mapping[str, str]) -> PollResult:
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
        return poller_for(url)(url, cursor, environment)
    item = find_label_manifest(manifest, environment)
    manifest_tag = digest_hex(digest_json([item.etag, item.size]))[:16]
    previous_tag, _, source_cursor = cursor.partition(" ")
    poll_result = poller_for(url)(url, source_cursor if previous_tag == manifest_tag else "", environment)
    source_state = poll_result.source_state
    if source_state:
        source_state = replace(source_state, fingerprint=digest_json([source_state.fingerprint, manifest_tag]))
    return PollResult(source_state, f"{manifest_tag} {poll_result.cursor}")
