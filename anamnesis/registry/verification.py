"""Whether a registry still is what was written: the chain of the log, and everything that has a digest."""

from collections.abc import Iterator
from itertools import pairwise

from anamnesis.records import AnamnesisError, IntegrityError, LogEntry, digest_bytes
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.log import LOG_PREFIX, LogPosition, parse_entry_number, read_entry
from anamnesis.registry.run_results import list_update_results
from anamnesis.registry.update_records import list_update_records
from anamnesis.registry.versions import blob_key, list_versions, read_version
from anamnesis.storage.store import Store

Chain = dict[int, LogEntry | None]
"""Number -> entry; none where it cannot be read."""


def verify_log(store: Store, expected_head: LogPosition | None = None) -> tuple[str, ...]:
    """Checks the log alone.

    Without ``expected_head`` a changed byte, a missing entry and a broken chain are found; a tail that was cut off cleanly
    or a chain that was rewritten wholly show only against a head that was kept elsewhere.

    Args:
        store: the registry's.
        expected_head: the head when it was last looked at.

    Returns:
        One sentence for each problem, naming the entry; nothing when all is well.
    """
    problems: list[str] = []
    chain = _read_chain(store, problems)
    problems += _check_links(chain)
    if expected_head is not None and expected_head.number > 0:
        problems += _check_expected_head(chain, expected_head)
    return tuple(problems)


def verify_objects(store: Store) -> tuple[str, ...]:
    """Checks everything beside the log: versions, blobs, evaluations, updates, outcomes, and what the log names.

    Returns:
        One sentence for each problem, naming what is damaged.
    """
    problems: list[str] = []
    versions, blobs, evaluations = set(list_versions(store)), set[str](), set[str]()
    for digest in sorted(versions):
        try:
            version = read_version(store, digest)
            blobs.update(version.parts.values())
            if version.base is not None and version.base not in versions:
                problems.append(f"version {digest}: its base {version.base} is missing")
            evaluations.update(item.digest for item in read_evaluations(store, digest))
        except AnamnesisError as error:
            problems.append(str(error))
    problems += [text for digest in sorted(blobs) for text in _check_blob(store, digest)]
    problems += _check_update_records(store, versions)
    problems += _check_update_results(store, versions)
    problems += _check_decisions(store, versions, evaluations)
    return tuple(problems)


def _read_chain(store: Store, problems: list[str]) -> Chain:
    chain: Chain = {}
    for info in store.list(LOG_PREFIX):
        number = parse_entry_number(info.key)
        if number is None:
            problems.append(f"{info.key}: is no log entry; nobody should write here")
            continue
        chain[number] = None
        try:
            chain[number] = read_entry(store, number)
        except AnamnesisError as error:
            problems.append(str(error))
    return chain


def _check_links(chain: Chain) -> Iterator[str]:
    """Checks each entry against the one before; ``chain`` is sorted by number."""
    for previous_number, number in pairwise((0, *chain)):
        if number != previous_number + 1:
            last_missing = number - 1
            yield (
                f"log entry {last_missing} is missing"
                if last_missing == previous_number + 1
                else f"log entries {previous_number + 1} to {last_missing} are missing"
            )
            continue
        entry, previous_entry = chain[number], chain.get(previous_number)
        if entry and previous_number == 0 and entry.previous_digest:
            yield f"log entry {number} names an entry before it, but is the first"
        if entry and previous_entry and entry.previous_digest != previous_entry.digest:
            yield f"log entry {number} does not continue log entry {previous_number}: one of them was rewritten"


def _check_expected_head(chain: Chain, expected_head: LogPosition) -> Iterator[str]:
    last_number = max(chain, default=0)
    entry = chain.get(expected_head.number)
    if last_number < expected_head.number:
        yield f"the log ends at entry {last_number}, but entry {expected_head.number} was seen before: its tail was cut off"
    elif entry and entry.digest != expected_head.digest:
        earlier_text = f"entry {expected_head.number} had the digest {expected_head.digest} before"
        yield f"{earlier_text}, now it has {entry.digest}: the log was rewritten"


def _check_blob(store: Store, digest: str) -> Iterator[str]:
    try:
        if (actual_digest := digest_bytes(store.get(blob_key(digest)))) != digest:
            yield f"{blob_key(digest)}: has the digest {actual_digest}; its bytes were changed"
    except AnamnesisError as error:
        yield str(error)


def _check_update_records(store: Store, versions: set[str]) -> Iterator[str]:
    try:
        for record in list_update_records(store):
            if record.version not in versions:
                yield f"update {record.input_digest}: its version {record.version} is missing"
    except AnamnesisError as error:
        yield str(error)


def _check_update_results(store: Store, versions: set[str]) -> Iterator[str]:
    try:
        for update_result in list_update_results(store):
            if update_result.version and update_result.version not in versions:
                yield f"outcome of {update_result.trigger.update}: its version {update_result.version} is missing"
    except AnamnesisError as error:
        yield str(error)


def _check_decisions(store: Store, versions: set[str], evaluations: set[str]) -> Iterator[str]:
    for number in filter(None, (parse_entry_number(info.key) for info in store.list(LOG_PREFIX))):
        try:
            decision = read_entry(store, number).decision
        except IntegrityError:
            continue  # `verify` reports it
        if decision is None:
            continue
        if decision.candidate not in versions:
            yield f"log entry {number} decides on version {decision.candidate}, which is missing"
        for digest in decision.evaluations:
            if digest not in evaluations:
                yield f"log entry {number} judged the evaluation {digest}, which is missing or was changed"
