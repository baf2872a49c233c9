"""The gate's decisions about the versions of ModelUpdates. Pure over what was read before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.candidates import logged_candidate, needs_gate
from anamnesis.operator.controllers.continualmodel.state import RegistryState, StoredEvaluations
from anamnesis.records import CORRECTED_TEST_LABELS, Decision, UpdateResult
from anamnesis.registry import GatePolicy, RequiredTestSet, decide_promotion
from anamnesis.updates.required_tests import required_tests


@dataclass(frozen=True, slots=True)
class UndecidedVersion:
    """A version that the gate decides about.

    Attributes:
        update: name of the ModelUpdate that gave it.
        version: its digest.
        tests: the test sets that it must be evaluated on.
    """

    update: str
    version: str
    tests: tuple[RequiredTestSet, ...]


def update_tests(update: ModelUpdate, result: UpdateResult) -> tuple[RequiredTestSet, ...]:
    """Returns the test sets that an update's version must be evaluated on: those that its run was requested with."""
    corrected_labels = result.counts.get(CORRECTED_TEST_LABELS, 0)
    return tuple(required_tests(update.spec.request, result.test_set, corrected_labels))


def undecided_versions(updates: Iterable[ModelUpdate], registry: RegistryState) -> tuple[UndecidedVersion, ...]:
    """Returns the versions of ``updates`` that the gate decides about, because the log does not."""
    undecided = []
    for update in updates:
        result = registry.result_of(update)
        if result is None or not result.version:
            continue
        base = registry.versions[result.version].base or ""
        candidate = logged_candidate(result.version, base, registry.history, registry.entries)
        requested_at = update.metadata.creation_timestamp if update.spec.counter else None
        if needs_gate(candidate, registry.history, requested_at):
            tests = update_tests(update, result)
            undecided.append(UndecidedVersion(update.metadata.name, result.version, tests))
    return tuple(undecided)


def versions_and_bases(judged: Iterable[UndecidedVersion], registry: RegistryState) -> tuple[str, ...]:
    """Returns the digests of versions and of their bases: the gate compares each version with its base."""
    versions = [item.version for item in judged]
    return (*versions, *(base for version in versions if (base := registry.versions[version].base)))


def decide_versions(
    undecided: Iterable[UndecidedVersion], policy: GatePolicy, registry: RegistryState, evaluations: StoredEvaluations
) -> Mapping[str, Decision]:
    """Returns update -> the decision of a gate with this policy."""
    return {
        item.update: decide_promotion(
            policy=policy,
            candidate=registry.versions[item.version],
            tests=item.tests,
            evaluations=(
                *evaluations.by_version[item.version],
                *evaluations.by_version.get(registry.versions[item.version].base or "", ()),
            ),
            history=registry.history,
        )
        for item in undecided
    }
