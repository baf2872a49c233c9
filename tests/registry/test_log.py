import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from anamnesis.records import EntryKind, InputError, IntegrityError, canonical_json
from anamnesis.registry import History, Log, LogPosition, build_history, record_decision, verify_log
from anamnesis.registry.log import EntryProposal, format_timestamp
from anamnesis.registry.log_entries import entry_key
from anamnesis.storage import Store


def test_entries_form_a_chain(store: Store, build) -> None:
    log = Log(store, clock=lambda: datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), nonce=lambda: "n")
    assert log.head() == LogPosition(0, "")
    first_entry = log.append(
        EntryKind.CLAIM, build.digest("c"), "operator", "new data", deadline="2026-01-03T00:00:00Z"
    )
    second_entry = Log(store).append(EntryKind.APPROVE, build.digest("a"), "dr", "reviewed «the» report")
    assert (first_entry.number, first_entry.previous_digest, first_entry.nonce, first_entry.time) == (
        1,
        "",
        "n",
        "2026-01-02T03:04:05Z",
    )
    assert (second_entry.number, second_entry.previous_digest) == (2, first_entry.digest)
    assert log.entries() == Log(store).entries() == (first_entry, second_entry)
    assert log.head() == Log(store).head() == LogPosition(2, second_entry.digest)
    assert verify_log(store, log.head()) == ()


def test_the_head_is_found_without_reading_all_entries(store: Store, build, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(5):
        Log(store).append(EntryKind.APPROVE, build.digest(str(i)), "dr", "ok")
    read: list[str] = []
    get = store.get
    monkeypatch.setattr(store, "get", lambda key: read.append(key) or get(key))
    Log(store).append(EntryKind.APPROVE, build.digest("last"), "dr", "ok")
    assert entry_key(5) in read
    assert entry_key(4) not in read


def test_twenty_processes_race_and_one_wins_each_number(opener: Callable[[], Store], build) -> None:
    results = _in_processes(20, _append_twice, opener)
    written = [entry for entries in results for entry in entries]
    stored = Log(opener()).entries()
    assert [entry.number for entry in stored] == list(range(1, 41))
    assert sorted(written, key=lambda entry: entry.number) == list(stored)
    assert verify_log(opener(), LogPosition.of_entry(stored[-1])) == ()


def _append_twice(opener: Callable[[], Store], index: int) -> list[object]:
    log, subject = Log(opener()), f"sha256:{index:064x}"
    return [log.append(EntryKind.APPROVE, subject, f"process {index}", "race") for _ in range(2)]


def test_of_twenty_processes_that_promote_one_does(opener: Callable[[], Store], build) -> None:
    results = _in_processes(20, _promote, opener, [build.decision(build.digest(str(i)), None) for i in range(20)])
    history = build_history(Log(opener()).entries())
    kinds = [entry.kind for entry in results]
    assert (kinds.count(EntryKind.PROMOTE), kinds.count(EntryKind.SUPERSEDE)) == (1, 19)
    assert history.champion == results[kinds.index(EntryKind.PROMOTE)].subject
    assert history.ignored_entries == ()
    assert len(history.superseding_entries) == 19


def _promote(opener: Callable[[], Store], index: int, decisions: list) -> object:
    return record_decision(opener(), decisions[index], "operator", "race")


def _in_processes(amount: int, work: Callable, *arguments: object) -> list:
    """Runs ``work(opener, i, ...)`` in processes that start together; returns their results."""
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(amount), context.Queue()
    opener, *rest = arguments

    def run(i: int) -> None:
        start.wait()
        answers.put((i, work(opener, i, *rest)))

    processes = [context.Process(target=run, args=(i,)) for i in range(amount)]
    for process in processes:
        process.start()
    results = dict(answers.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return [results[i] for i in range(amount)]


class LosesReplies:
    """A store that writes and then fails, as a network does; the next call works."""

    def __init__(self, store: Store) -> None:
        self._store, self.losses = store, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        won = self._store.put_if_absent(key, data)
        self.losses += 1
        if self.losses % 2:
            raise TimeoutError("the reply was lost")
        return won


def test_a_caller_that_repeats_after_a_lost_reply_writes_nothing_twice(store: Store, build) -> None:
    flaky, decision = LosesReplies(store), build.decision(build.digest("a"), None)
    with pytest.raises(TimeoutError):
        record_decision(flaky, decision, "operator", "passed")
    assert record_decision(flaky, decision, "operator", "passed") is None
    assert [entry.kind for entry in Log(store).entries()] == [EntryKind.PROMOTE]


def test_a_precondition_sees_exactly_the_entries_before_its_number(store: Store, build) -> None:
    approval_counts: list[int] = []

    def propose(history: History) -> EntryProposal | None:
        approval_counts.append(len(history.approvals))
        if len(approval_counts) == 1:  # another writer is faster
            Log(store).append(EntryKind.APPROVE, build.digest("b"), "other", "ok")
        return EntryProposal(EntryKind.APPROVE, build.digest("a"), "dr", "ok")

    entry = Log(store).append_if(propose)
    assert entry is not None
    assert (entry.number, approval_counts) == (2, [0, 1])


def test_a_precondition_that_fails_writes_nothing(store: Store) -> None:
    assert Log(store).append_if(lambda history: None) is None
    assert list(store.list("log/")) == []


def test_a_changed_log_is_neither_read_nor_continued(store: Store, build) -> None:
    for i in range(3):
        Log(store).append(EntryKind.APPROVE, build.digest(str(i)), "dr", "ok")
    second = store.get(entry_key(2))
    store.delete(entry_key(2))
    for action in (Log(store).entries, Log(store).head):
        with pytest.raises(IntegrityError, match="entry 2 is missing"):
            action()
    store.put(entry_key(2), store.get(entry_key(1)))
    with pytest.raises(IntegrityError, match="log entry 2: the object holds entry 1"):
        Log(store).append_if(lambda history: EntryProposal(EntryKind.APPROVE, build.digest("x"), "dr", "ok"))
    store.put(entry_key(2), second)
    store.put(entry_key(3), store.get(entry_key(3)).replace(b'"author":"dr"', b'"author":"me"'))
    with pytest.raises(IntegrityError, match="log entry 3: its bytes were changed"):
        Log(store).append(EntryKind.APPROVE, build.digest("x"), "dr", "ok")
    assert len(list(store.list("log/"))) == 3


def test_an_entry_of_an_older_release_is_refused_with_one_sentence(folder: Store, build) -> None:
    old_entry = {"number": 1, "previous": "", "schema": 1, "subject": build.digest("a"), "who": "dr", "why": "ok"}
    folder.put(entry_key(1), canonical_json(old_entry))
    sentence = (
        "log entry 1: found schema 1 of LogEntry, this release reads schema 4; "
        "start a new registry and store, or use the release of Anamnesis that wrote this object"
    )
    with pytest.raises(InputError, match=f"^{sentence}$"):
        Log(folder).entries()
    assert verify_log(folder) == (sentence,)


def test_an_entry_has_an_author_and_a_promotion_its_decision(folder: Store, build) -> None:
    with pytest.raises(InputError, match="no author given; name the person"):
        Log(folder).append(EntryKind.APPROVE, build.digest("a"), " ", "ok")
    with pytest.raises(InputError, match="no decision on this version"):
        Log(folder).append(EntryKind.PROMOTE, build.digest("a"), "dr", "ok")
    other_decision = build.decision(build.digest("b"), None)
    with pytest.raises(InputError, match="no decision on this version"):
        Log(folder).append(EntryKind.PROMOTE, build.digest("a"), "dr", "ok", decision=other_decision)


def test_a_head_is_written_and_read(build) -> None:
    head = LogPosition(12, build.digest("x"))
    assert LogPosition.parse(f"{head}\n") == head
    assert LogPosition.parse(str(LogPosition())) == LogPosition()
    for text in ("", "x:sha256:1", "-1:x", "²:x"):
        with pytest.raises(InputError, match=r"expected <number>.*printed"):
            LogPosition.parse(text)


def test_times_are_utc() -> None:
    rome = timezone(timedelta(hours=2))
    assert format_timestamp(datetime(2026, 7, 1, 1, 30, tzinfo=rome)) == "2026-06-30T23:30:00Z"
