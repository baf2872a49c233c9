"""Reads a model's registry: log, results, versions, evaluations."""

from collections.abc import Iterable
from datetime import datetime

from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.schedule import last_firing
from anamnesis.operator.controllers.continualmodel.names import evaluation_name
from anamnesis.operator.controllers.continualmodel.state import EvaluationSchedule, RegistryState, StoredEvaluations
from anamnesis.records import LogEntry
from anamnesis.registry import (
    History,
    RequiredTestSet,
    list_update_results,
    read_evaluations,
    read_scheduled_evaluation,
    read_version,
)
from anamnesis.registry.log_reader import history_of
from anamnesis.registry.promotion import tests_and_earlier_sets
from anamnesis.registry.run_results import SCHEDULED_EVALUATIONS
from anamnesis.storage import Store


def read_registry(registry: Store, entries: tuple[LogEntry, ...]) -> RegistryState:
    """Returns the log, of which ``entries`` were read, with the results and versions that it needs."""
    history = history_of(registry, entries)
    results = {result.trigger.claim: result for result in list_update_results(registry)}
    digests = {*history.lineage, *(result.version for result in results.values() if result.version)}
    versions = {digest: read_version(registry, digest) for digest in sorted(digests)}
    return RegistryState(entries, history, results, versions)


def read_stored_evaluations(
    registry: Store,
    versions: Iterable[str],
    tests: Iterable[RequiredTestSet],
    history: History,
    previous: StoredEvaluations | None,
) -> StoredEvaluations:
    """Returns the evaluations of ``versions`` on the test sets of ``tests``, and on those that they replaced.

    ``previous`` saves reading them again.
    """
    test_sets = frozenset(tests_and_earlier_sets(tests, history))
    read_before = previous.by_version if previous and previous.test_sets == test_sets else {}
    by_version = {
        version: read_before[version] if version in read_before else read_evaluations(registry, version, test_sets)
        for version in dict.fromkeys(versions)
    }
    return StoredEvaluations(test_sets, by_version)


def read_evaluation_schedule(
    registry: Store, model: ContinualModel, champion: str, now: datetime
) -> EvaluationSchedule:
    """Returns the scheduled evaluations of a model."""
    if not champion:
        return EvaluationSchedule(None, None, None)
    spec = model.spec.evaluation
    names = [
        info.key.removeprefix(SCHEDULED_EVALUATIONS).removesuffix(".json")
        for info in registry.list(SCHEDULED_EVALUATIONS)
    ]
    due_at = last_firing(spec.schedule, now) if spec else None
    due_name = evaluation_name(model.metadata.name, due_at) if due_at else ""
    results = (read_scheduled_evaluation(registry, name) for name in sorted(names, reverse=True))
    return EvaluationSchedule(
        due_at=due_at,
        due_result=read_scheduled_evaluation(registry, due_name) if due_name in names else None,
        last_result=next((result for result in results if result and result.version == champion), None),
    )
