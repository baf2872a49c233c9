"""The versions that updates gave, and what log and gate say of them. Pure over a scene."""

from collections.abc import Iterable

from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.names import configuration_digest
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.plan import Candidate
from anamnesis.records import EntryKind, Outcome, Verdict
from anamnesis.records.timestamps import time_of


def decided(scene: Scene, outcomes: Iterable[Outcome]) -> Iterable[Candidate]:
    """The versions that this data gave with today's configuration and on which the log has the last word."""
    wanted = configuration_digest(scene.model.resource)
    for outcome in outcomes:
        if outcome.version and outcome.configuration == wanted:
            candidate = _logged(scene, outcome.version)
            if candidate and (candidate.rejected or candidate.rolled_back):
                yield candidate


def candidate_of(scene: Scene, update: ModelUpdate, version: str) -> Candidate:
    """Returns the version that an update gave; where the log does not have the last word, as the gate judges now."""
    logged = _logged(scene, version)
    if logged and not _asked_again(scene, update, version):
        return logged
    decision = scene.judged(update)
    assert decision is not None  # there is a version
    if logged and decision.verdict is Verdict.REJECT:
        return logged
    return Candidate(version, decision.verdict, decision.reason)


def _asked_again(scene: Scene, update: ModelUpdate, version: str) -> bool:
    """Whether a person asked for this update after the gate rejected its version: today's may say otherwise."""
    entry, made = scene.history.rejected.get(version), update.metadata.creation_timestamp
    if entry is None or made is None or scene.history.vetoed(version):
        return False
    return update.spec.counter > 0 and time_of(entry.time) < made


def _logged(scene: Scene, version: str) -> Candidate | None:
    """What the log says of a version. People's reasons stay in it: statuses and events say who, not why."""
    history = scene.history
    if version in history.rejected:
        entry = history.rejected[version]
        why = f"{entry.who} rejected it" if history.vetoed(version) else entry.why
        return Candidate(version, Verdict.REJECT, why, rejected=True)
    if version in history.promoted:
        if version not in history.lineage:
            return Candidate(version, Verdict.SUPERSEDED, _roll_back(scene), rolled_back=True)
        promotion = scene.promotion(version)
        return Candidate(version, Verdict.PROMOTE, promotion.why if promotion else "")
    late = (scene.versions[version].base or "") != scene.champion  # else its base is in use again: judged anew
    if late and version in history.superseded:
        return Candidate(version, Verdict.SUPERSEDED, history.superseded[version].why)
    return None


def _roll_back(scene: Scene) -> str:
    """Who left promoted versions behind, in words."""
    entry = next((entry for entry in reversed(scene.entries) if entry.kind is EntryKind.ROLL_BACK), None)
    return f"{entry.who} rolled back to {entry.subject[:19]}" if entry else ""
