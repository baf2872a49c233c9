"""Chooses the poller of a source, and polls a manifest of labels outside of the source too."""

from collections.abc import Mapping
from dataclasses import replace

from anamnesis.operator.polling.poller import PollResult, SourcePoller
from anamnesis.records import digest_hex, digest_json
from anamnesis.sources import find_label_manifest


def poller_for(url: str) -> SourcePoller:
    """Returns the poller of a source, by the scheme of its URL."""
    if url.startswith("orthanc+"):
        from anamnesis.operator.polling.orthanc import poll_orthanc  # only a DICOM server needs an HTTP client

        return poll_orthanc
    if url.startswith("dicomweb+"):
        from anamnesis.operator.polling.dicomweb import poll_dicomweb

        return poll_dicomweb
    from anamnesis.operator.polling.files import poll_files

    return poll_files


def poll_source(url: str, manifest: str, cursor: str, environment: Mapping[str, str]) -> PollResult:
    """Polls a source and the manifest of its labels outside of it: a corrected label is a change.

    Args:
        url: the source, as ``SiteConfig.source`` has it.
        manifest: as ``LabelSource.manifest`` has it; a path is part of the source, and empty is none.
        cursor: of the last poll, or empty.
        environment: credentials.

    Raises:
        InputError: source or manifest is not as expected; ``MissingObjectError`` where it is missing.
        RefusedError: the credentials are not accepted.
        UnreachableError: source or manifest is not reachable.
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
    return replace(poll_result, source_state=source_state, cursor=f"{manifest_tag} {poll_result.cursor}")
