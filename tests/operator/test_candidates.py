"""The one rule for candidates: the log decides first, then the gate."""

from datetime import UTC, datetime

import pytest

from anamnesis.operator.candidates import logged_candidate, merge_decision, needs_gate, site_candidates
from anamnesis.operator.plan import Candidate
from anamnesis.records import Decision, EntryKind, LogEntry, Verdict
from anamnesis.registry import build_history

BEFORE, AFTER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def decision(version: str, base: str | None, verdict: Verdict) -> Decision:
    return Decision(
        verdict=verdict, candidate=version, base=base, champion=base, criteria=(), evaluations=(), reason="why"
    )


def log(*parts: tuple[EntryKind, str, str | None]) -> tuple[LogEntry, ...]:
    """Entries by the operator with a decision, and by rossi without one."""
    return tuple(
        LogEntry(
            number=number,
            previous_digest="",
            nonce="n",
            kind=kind,
            subject=subject,
            author="operator" if base != "rossi" else "rossi",
            reason="reviewed",
            time="2026-06-01T00:00:00Z",
            decision=decision(subject, base, Verdict.PROMOTE) if base != "rossi" else None,
        )
        for number, (kind, subject, base) in enumerate(parts, 1)
    )


PROMOTED = ((EntryKind.PROMOTE, "v1", None), (EntryKind.PROMOTE, "v2", "v1"))


@pytest.mark.parametrize(
    ("entries", "version", "base", "expected"),
    [
        (log(*PROMOTED), "v2", "v1", Candidate("v2", Verdict.PROMOTE, "reviewed")),
        (log(*PROMOTED), "v3", "v2", None),
        (
            log(*PROMOTED, (EntryKind.ROLL_BACK, "v1", "rossi")),
            "v2",
            "v1",
            Candidate("v2", Verdict.SUPERSEDED, "rossi rolled back to v1", is_rolled_back=True),
        ),
        (
            log(*PROMOTED, (EntryKind.WITHDRAW, "v2", "rossi")),
            "v2",
            "v1",
            Candidate("v2", Verdict.SUPERSEDED, "rossi withdrew v2", is_rolled_back=True),
        ),
        (
            log(*PROMOTED, (EntryKind.REJECT, "v3", "rossi")),
            "v3",
            "v2",
            Candidate("v3", Verdict.REJECT, "rossi rejected it", is_rejected=True),
        ),
        (
            log(*PROMOTED, (EntryKind.REJECT, "v3", "v2")),
            "v3",
            "v2",
            Candidate("v3", Verdict.REJECT, "reviewed", is_rejected=True),
        ),
        (
            log(*PROMOTED, (EntryKind.SUPERSEDE, "v3", "v1")),
            "v3",
            "v1",
            Candidate("v3", Verdict.SUPERSEDED, "reviewed"),
        ),
        (log(*PROMOTED, (EntryKind.SUPERSEDE, "v3", "v2")), "v3", "v2", None),
    ],
)
def test_the_log_decides_first(
    entries: tuple[LogEntry, ...], version: str, base: str, expected: Candidate | None
) -> None:
    assert logged_candidate(version, base, build_history(entries), entries) == expected


def test_the_gate_decides_again_only_on_the_request_of_a_person_and_never_over_one() -> None:
    for author, requested_at, is_needed in (
        ("v2", AFTER, True),
        ("v2", BEFORE, False),
        ("v2", None, False),
        ("rossi", AFTER, False),
    ):
        entries = log(*PROMOTED, (EntryKind.REJECT, "v3", author))
        history = build_history(entries)
        assert needs_gate(logged_candidate("v3", "v2", history, entries), history, requested_at) is is_needed
    assert needs_gate(None, build_history(log(*PROMOTED)), None)


def test_a_rejection_in_the_log_holds_until_the_gate_would_accept_the_version() -> None:
    rejected = Candidate("v3", Verdict.REJECT, "logged", is_rejected=True)
    assert merge_decision("v3", rejected, decision("v3", "v2", Verdict.REJECT)) is rejected
    assert merge_decision("v3", rejected, decision("v3", "v2", Verdict.PROMOTE)).verdict is Verdict.PROMOTE
    assert merge_decision("v3", None, decision("v3", "v2", Verdict.REJECT)).verdict is Verdict.REJECT


def test_a_site_has_its_rejected_and_rolled_back_versions_and_those_that_the_gate_decides_about() -> None:
    entries = log(*PROMOTED, (EntryKind.ROLL_BACK, "v1", "rossi"), (EntryKind.REJECT, "v4", "rossi"))
    bases = {"v1": "", "v2": "v1", "v3": "v1", "v4": "v1", "v5": "v2"}
    history = build_history(entries)
    assert [each.version for each in site_candidates(bases, history, entries)] == ["v2", "v4"]
    with_gate = site_candidates(bases, history, entries, lambda version: decision(version, "v1", Verdict.PROMOTE))
    assert [each.version for each in with_gate] == ["v2", "v3", "v4"]
