"""The steps that read a site's data: a snapshot alone, or the start of an update."""

from collections.abc import Mapping

from anamnesis.records import (
    Progress,
    RefusedError,
    SiteConfig,
    UpdateResult,
    UpdateResultKind,
    decode,
    encode_object,
    ignore_progress,
)
from anamnesis.registry import read_update_result, write_update_result
from anamnesis.registry.opening import open_registry
from anamnesis.registry.site_identity import SiteIdentity, check_site
from anamnesis.storage import open_store
from anamnesis.updates.requests import UpdateRequest


def ingest_site(
    site: Mapping[str, object], store: str, split_key: str, workers: int, progress: Progress = ignore_progress
) -> dict[str, object]:
    """Makes a snapshot of a site's current data.

    Args:
        site: encoded ``SiteConfig``.
        store: URL of the site's own store.
        split_key: where the split key is, as in ``UpdateRequest``.
        workers: processes that read files.
        progress: called per file.

    Returns:
        Encoded ``IngestResult``.
    """
    from anamnesis.snapshots import ingest, read_site_key

    config, site_store = decode(SiteConfig, site, "site"), open_store(store)
    key = read_site_key(site_store, config.name, split_key)
    return encode_object(ingest(config, site_store, key, workers=workers, progress=progress))


def begin_update(
    request: Mapping[str, object], workers: int, progress: Progress = ignore_progress
) -> dict[str, object]:
    """Makes a snapshot of the site of an update, and decides whether the update has anything to learn.

    Without a trigger the update always learns: a person asked for it. With a trigger, an update that ends here writes
    its result to the registry. Where an earlier attempt has already written the result, nothing is left to do.

    Args:
        request: encoded ``UpdateRequest``.
        workers: processes that read files.
        progress: called per file.

    Returns:
        ``snapshot``, ``test_set``, ``counts``, ``reasons``, whether to ``learn``, and with a trigger the encoded
        ``update_result``, for ``promote_model`` to complete.

    Raises:
        RefusedError: without a trigger, the source lists much less than before.
    """
    from anamnesis.snapshots import ingest, key_fingerprint, read_site_key
    from anamnesis.steps.assess_ingestion import assess_ingestion

    update_request = decode(UpdateRequest, request, "request")
    store, trigger = open_registry(update_request.registry, update_request.signing), update_request.trigger
    if trigger and (stored_result := read_update_result(store, trigger.claim)):
        return _begin_result(stored_result, learn=False)
    config, site_store = update_request.site, open_store(update_request.store)
    key = read_site_key(site_store, config.name, update_request.split_key)
    check_site(store, SiteIdentity(config.name, config.task, key_fingerprint(key)))
    ingest_result = ingest(config, site_store, key, workers=workers, progress=progress)
    if not trigger and ingest_result.hold:
        raise RefusedError(f"site {config.name!r}: the update is held: {ingest_result.hold}")
    if not trigger:
        return {**encode_object(ingest_result), "learn": True, "update_result": None}
    update_result = assess_ingestion(update_request, trigger, ingest_result)
    if update_result.kind is UpdateResultKind.CANDIDATE:
        return _begin_result(update_result, learn=True)
    return _begin_result(write_update_result(store, update_result), learn=False)


def _begin_result(update_result: UpdateResult, learn: bool) -> dict[str, object]:
    encoded = encode_object(update_result)
    shared_fields = {name: encoded[name] for name in ("snapshot", "test_set", "counts", "reasons")}
    return {**shared_fields, "learn": learn, "update_result": encoded}
