from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import (
    Decision,
    DecisionOutcome,
    EntryKind,
    LogEntry,
    PersonDecision,
    RecordedApproval,
    Verdict,
)
from anamnesis.registry import History, build_history

VERSIONS = tuple("abcd")


def entry(kind: EntryKind, subject: str, base: str | None = None, by_gate: bool = True, number: int = 1) -> LogEntry:
    verdict = Verdict.PROMOTE if kind is EntryKind.PROMOTE else Verdict.REJECT
    decision = Decision(
        verdict=verdict, candidate=subject, base=base, champion=base, criteria=(), evaluations=(), reason=""
    )
    return LogEntry(
        number=number,
        previous_digest="",
        nonce="n",
        kind=kind,
        subject=subject,
        author="dr",
        reason="why",
        time="2026-01-01T00:00:00Z",
        decision=decision if by_gate else None,
    )


entries = st.lists(
    st.builds(
        entry,
        kind=st.sampled_from(EntryKind),
        subject=st.sampled_from(VERSIONS),
        base=st.sampled_from((None, *VERSIONS)),
        by_gate=st.booleans(),
    ),
    max_size=25,
)


def test_an_empty_log_has_an_empty_history() -> None:
    assert build_history([]) == History()


def test_the_champion_follows_promotions_and_roll_backs() -> None:
    log = [entry(EntryKind.PROMOTE, "a"), entry(EntryKind.PROMOTE, "b", "a"), entry(EntryKind.PROMOTE, "c", "b")]
    assert build_history(log).champion == "c"
    assert build_history(log).lineage == ("c", "b", "a")
    log.append(entry(EntryKind.ROLL_BACK, "a"))
    assert (
        build_history(log).champion,
        build_history(log).promoted_versions,
        build_history(log).rolled_back_versions,
    ) == ("a", ("a", "b", "c"), ("b", "c"))
    log.append(entry(EntryKind.PROMOTE, "d", "a"))
    assert (
        build_history(log).lineage,
        build_history(log).rolled_back_versions,
        build_history(log).ignored_entries,
    ) == (("d", "a"), ("b", "c"), ())


def test_a_promotion_from_another_base_changes_nothing() -> None:
    log = [entry(EntryKind.PROMOTE, "a"), entry(EntryKind.PROMOTE, "b", None), entry(EntryKind.ROLL_BACK, "b")]
    history = build_history(log)
    assert (history.champion, history.promoted_versions, len(history.ignored_entries)) == ("a", ("a",), 2)


def test_a_persons_rejection_is_final_and_the_gates_is_not() -> None:
    person = [entry(EntryKind.REJECT, "a", by_gate=False), entry(EntryKind.PROMOTE, "a")]
    assert (build_history(person).champion, build_history(person).is_vetoed("a")) == (None, True)
    gate = [entry(EntryKind.REJECT, "a"), entry(EntryKind.PROMOTE, "a")]
    assert (build_history(gate).champion, dict(build_history(gate).rejections)) == ("a", {})
    both = [entry(EntryKind.REJECT, "a"), entry(EntryKind.REJECT, "a", by_gate=False)]
    assert build_history(both).is_vetoed("a")


def test_a_withdrawal_lasts_until_a_roll_back() -> None:
    log = [entry(EntryKind.PROMOTE, "a"), entry(EntryKind.PROMOTE, "b", "a"), entry(EntryKind.APPROVE, "c")]
    log += [entry(EntryKind.WITHDRAW, "b"), entry(EntryKind.PROMOTE, "c"), entry(EntryKind.WITHDRAW, "b")]
    history = build_history(log)
    assert (history.champion, history.withdrawal, history.lineage) == (None, log[3], ())
    assert (history.rolled_back_versions, history.approvals) == (("a", "b"), {}), "no approval outlives a withdrawal"
    assert history.ignored_entries == (log[4], log[5])
    history = build_history([*log, entry(EntryKind.ROLL_BACK, "b")])
    assert (history.champion, history.withdrawal) == ("b", None)


def test_a_decision_without_effect_changes_nothing_but_is_recorded() -> None:
    log = [entry(EntryKind.PROMOTE, "a"), entry(EntryKind.PROMOTE, "b", "a"), entry(EntryKind.APPROVE, "c")]
    approval = RecordedApproval("back", "uid", PersonDecision.ROLL_BACK, DecisionOutcome.ALREADY_IN_EFFECT)
    word = replace(entry(EntryKind.NO_EFFECT, "b", by_gate=False), approval=approval)
    assert build_history([*log, word]) == replace(build_history(log), recorded_approvals={"uid": word})
    assert build_history([*log, entry(EntryKind.ROLL_BACK, "b")]).approvals, "nor does a roll back to the champion"


@given(entries)
def test_invariants_hold_after_any_entries(log: list[LogEntry]) -> None:
    history = build_history(log)
    assert history.champion is None or history.champion in history.promoted_versions
    assert len(set(history.promoted_versions)) == len(history.promoted_versions)
    assert not any(history.is_vetoed(version) for version in history.promoted_versions)
    assert not set(history.rejections) & set(history.promoted_versions)
    if history.champion:
        assert history.lineage[0] == history.champion
        assert history.bases[history.lineage[-1]] is None
        assert set(history.lineage) | set(history.rolled_back_versions) == set(history.promoted_versions)


@given(entries)
def test_the_champion_only_changes_by_a_promotion_from_it_a_roll_back_or_a_withdrawal(log: list[LogEntry]) -> None:
    for i, latest in enumerate(log):
        before, after = build_history(log[:i]), build_history(log[: i + 1])
        if before.champion and not after.champion:
            assert (latest.kind, after.withdrawal) == (EntryKind.WITHDRAW, latest)
        elif before.champion != after.champion:
            assert after.champion == latest.subject
            from_champion = not before.withdrawal and latest.decision and latest.decision.base == before.champion
            promoted = latest.kind is EntryKind.PROMOTE and from_champion
            assert promoted or (latest.kind is EntryKind.ROLL_BACK and latest.subject in before.promoted_versions)


@given(entries)
def test_ignored_entries_have_no_effect(log: list[LogEntry]) -> None:
    numbered = [replace(e, number=i) for i, e in enumerate(log, 1)]
    whole = build_history(numbered)
    accepted = build_history(e for e in numbered if e not in whole.ignored_entries)
    assert accepted.ignored_entries == ()
    assert (accepted.champion, accepted.promoted_versions, accepted.rejections) == (
        whole.champion,
        whole.promoted_versions,
        whole.rejections,
    )
