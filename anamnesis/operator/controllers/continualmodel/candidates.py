"""The versions that updates gave, and what log and gate say of them. Pure over a scene."""

from collections.abc import Iterable

from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.names import configuration_digest
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.plan import Candidate
from anamnesis.records import EntryKind, UpdateResult, Verdict
from anamnesis.records.timestamps import parse_timestamp


def refused_candidates(state: ModelState, results: Iterable[UpdateResult]) -> Iterable[Candidate]:
    """The versions that this data gave with today's configuration and on which the log has the last word."""
    current_configuration = configuration_digest(state.model.resource)
    for result in results:
        if result.version and result.configuration == current_configuration:
            candidate = _candidate_in_log(state, result.version)
            if candidate and (candidate.is_rejected or candidate.is_rolled_back):
                yield candidate


def candidate_of(state: ModelState, update: ModelUpdate, version: str) -> Candidate:
    """Returns the version that an update gave; where the log does not have the last word, as the gate judges now."""
    logged_candidate = _candidate_in_log(state, version)
    if logged_candidate and not _was_requested_after_rejection(state, update, version):
        return logged_candidate
    decision = state.gate_decision(update)
    assert decision is not None  # there is a version
    if logged_candidate and decision.verdict is Verdict.REJECT:
        return logged_candidate
    return Candidate(version, decision.verdict, decision.reason)


def _was_requested_after_rejection(state: ModelState, update: ModelUpdate, version: str) -> bool:
    """Whether a person asked for this update after the gate rejected its version: today's may say otherwise."""
    entry, created_at = state.history.rejections.get(version), update.metadata.creation_timestamp
    if entry is None or created_at is None or state.history.is_vetoed(version):
        return False
    return update.spec.counter > 0 and parse_timestamp(entry.time) < created_at


def _candidate_in_log(state: ModelState, version: str) -> Candidate | None:
    """What the log says of a version. People's reasons stay in it: statuses and events say who, not why."""
    history = state.history
    if version in history.rejections:
        entry = history.rejections[version]
        reason = f"{entry.author} rejected it" if history.is_vetoed(version) else entry.reason
        return Candidate(version, Verdict.REJECT, reason, is_rejected=True)
    if version in history.promoted_versions:
        if version not in history.lineage:
            return Candidate(version, Verdict.SUPERSEDED, _roll_back_reason(state), is_rolled_back=True)
        promotion = state.promotion_entry(version)
        return Candidate(version, Verdict.PROMOTE, promotion.reason if promotion else "")
    base_has_changed = (
        state.versions[version].base or ""
    ) != state.champion  # else its base is in use again: judged anew
    if base_has_changed and version in history.superseding_entries:
        return Candidate(version, Verdict.SUPERSEDED, history.superseding_entries[version].reason)
    return None


def _roll_back_reason(state: ModelState) -> str:
    """Who left promoted versions behind, in words."""
    entry = next((entry for entry in reversed(state.entries) if entry.kind is EntryKind.ROLL_BACK), None)
    return f"{entry.author} rolled back to {entry.subject[:19]}" if entry else ""
