"""Where the learning rate of a version comes from, in words."""

from collections.abc import Iterable, Mapping

from anamnesis.records import LearningRateOrigin, UpdateRecord
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store

_SETTING = "spec.training.learningRate"
_LATER = "later updates of the same method, optimiser and batch size keep it"


def describe_learning_rate(store: Store, version: str, records: Iterable[UpdateRecord]) -> str:
    """Returns the learning rate of a version and where it comes from; empty where this is not known, or it has none.

    Args:
        store: the model's registry.
        version: digest of the version.
        records: of all updates.
    """
    record_by_version = {record.version: record for record in records}
    record = record_by_version.get(version)
    if record is None or record.learning_rate_origin is None:
        return ""
    rate = _rate_of(read_version(store, version).configuration)
    if record.learning_rate_origin is LearningRateOrigin.SET:
        return f"learning rate {rate}: set in {_SETTING}"
    is_own_choice = record.learning_rate_origin is LearningRateOrigin.CHOSEN
    while record and record.learning_rate_origin is LearningRateOrigin.KEPT:
        record = record_by_version.get(read_version(store, record.version).base or "")
    if record is None or record.learning_rate_origin is not LearningRateOrigin.CHOSEN:
        return f"learning rate {rate}: that of the base version, because {_SETTING} is not set"
    update = "this update" if is_own_choice else f"the update of {read_version(store, record.version).site}"
    return f"learning rate {rate}: chosen by a range test at {update} ({_describe_test(record)}); {_LATER}"


def _rate_of(configuration: Mapping[str, object]) -> object:
    training = configuration.get("training")
    return training.get("learning_rate") if isinstance(training, Mapping) else None


def _describe_test(record: UpdateRecord) -> str:
    if not record.learning_rate_losses:
        return "its losses are not stored, because they are about too few patients"
    losses = (
        f"{rate}: {'diverged' if loss is None else f'{loss:.3g}'}" for rate, loss in record.learning_rate_losses.items()
    )
    return f"mean loss at {', '.join(losses)}"
