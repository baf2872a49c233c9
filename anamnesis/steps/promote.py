"""The step that asks the gate about a candidate."""

from collections.abc import Mapping
from dataclasses import replace

from anamnesis.records import InputError, UpdateResult, decode, encode
from anamnesis.registry import Log, evaluate_gate, read_version, record_decision, write_update_result
from anamnesis.registry.opening import open_registry
from anamnesis.storage import Store, open_store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.required_tests import required_tests


def promote_model(
    request: Mapping[str, object],
    version: str,
    test_set: str,
    author: str,
    update_result: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Asks the gate about a candidate, and writes its decision to the registry's log.

    With a trigger the log stays unchanged: the operator records the decision. The step's last act is then to write the
    update's result, completed by the version, to the registry.

    Args:
        request: encoded ``UpdateRequest``.
        version: digest of the candidate.
        test_set: digest of the site's current test set.
        author: of the log entry.
        update_result: the one that ``begin_update`` returned.

    Returns:
        ``verdict``, whether the version is ``promoted``, the current ``champion``, the ``reason``, the encoded
        ``decision`` and, with a trigger, the encoded ``update_result`` that the registry keeps.

    Raises:
        InputError: a request with a trigger came without ``update_result``.
    """
    update_request = decode(UpdateRequest, request, "request")
    store = open_registry(update_request.registry, update_request.signing)
    corrected_labels = _count_corrected_labels(store, update_request, version, test_set)
    tests = required_tests(update_request, test_set, corrected_labels)
    decision = evaluate_gate(store, version, update_request.gate, tests)
    if not update_request.trigger:
        record_decision(store, decision, author, decision.reason)
    champion = Log(store).history().champion
    stored_result = _write_final_result(store, version, update_result) if update_request.trigger else None
    return {
        "verdict": decision.verdict.value,
        "promoted": champion == version,
        "champion": champion or "",
        "reason": decision.reason,
        "decision": encode(decision),
        "update_result": encode(stored_result),
    }


def _count_corrected_labels(store: Store, request: UpdateRequest, version: str, test_set: str) -> int:
    from anamnesis.snapshots import read_snapshot_manifest
    from anamnesis.snapshots.corrected_labels import count_corrected_labels
    from anamnesis.snapshots.testsets import find_test_set

    site_store, snapshot = open_store(request.store), read_version(store, version).snapshot
    if snapshot is None:  # imported weights
        return 0
    manifest = read_snapshot_manifest(site_store, snapshot)
    return count_corrected_labels(find_test_set(site_store, test_set), manifest.samples)


def _write_final_result(store: Store, version: str, update_result: Mapping[str, object] | None) -> UpdateResult:
    if update_result is None:
        raise InputError(
            "update_result: missing, although the request has a trigger: the compiled pipeline is of another release; "
            "compile it again with: python -m anamnesis.pipelines.compile"
        )
    return write_update_result(store, replace(decode(UpdateResult, update_result, "update_result"), version=version))
