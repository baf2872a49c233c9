"""The step that trains a candidate version."""

from collections.abc import Mapping

from anamnesis.records import Progress, decode, encode, ignore_progress
from anamnesis.updates.requests import UpdateRequest


def train(
    request: Mapping[str, object], snapshot: str, test_set: str, progress: Progress = ignore_progress
) -> dict[str, object]:
    """Trains a candidate version.

    Args:
        request: encoded ``UpdateRequest``.
        snapshot: digest of the snapshot to learn.
        test_set: not opened; it is an argument so that a changed test set is a changed step.
        progress: called per training step.

    Returns:
        ``version``, ``input``, whether it was ``reused``, ``seconds``, ``stored_bytes``, how many patients are
        ``held_back``, the ``losses`` of the last epoch, the ``learning_rate`` in words, ``notes`` about what is
        converted or not used, and the encoded ``operating_point`` of the site; none where too few patients could be
        held out, and then its answers have no temperature and no threshold.
    """
    from anamnesis.registry import describe_learning_rate, list_update_records
    from anamnesis.registry.opening import open_registry
    from anamnesis.updates.update import run_update

    update_request = decode(UpdateRequest, request, "request")
    run = run_update(update_request, snapshot, progress)
    registry = open_registry(update_request.registry, update_request.signing)
    return {
        "version": run.record.version,
        "input": run.record.input_digest,
        "reused": run.is_reused,
        "seconds": run.record.cost.seconds,
        "stored_bytes": run.record.cost.stored_bytes,
        "held_back": encode(run.held_back),
        "operating_point": encode(run.operating_point),
        "learning_rate": describe_learning_rate(registry, run.record.version, list_update_records(registry)),
        "notes": list(run.notes),
        "losses": encode(run.epoch_losses[-1]) if run.epoch_losses else {},
    }
