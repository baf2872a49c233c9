"""Whether a registry still is what was written: the chain of the log, and everything that has a digest."""

from collections.abc import Iterator
from itertools import pairwise

from anamnesis.records import AnamnesisError, IntegrityError, LogEntry, digest_bytes
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.log import PREFIX, Head, number_of, read_entry
from anamnesis.registry.run_results import list_outcomes
from anamnesis.registry.update_records import list_updates
from anamnesis.registry.versions import blob_key, list_versions, read_version
from anamnesis.storage.store import Store

Chain = dict[int, LogEntry | None]
"""Number -> entry; none where it cannot be read."""


def verify(store: Store, expected: Head | None = None) -> tuple[str, ...]:
    """Checks the log alone.

    Without ``expected`` a changed byte, a missing entry and a broken chain are found; a tail that was cut off cleanly
    or a chain that was rewritten wholly show only against a head that was kept elsewhere.

    Args:
        store: the registry's.
        expected: the head when it was last looked at.

    Returns:
        One sentence for each problem, naming the entry; nothing when all is well.
    """
    problems: list[str] = []
    chain = _read_chain(store, problems)
    problems += _links(chain)
    if expected is not None and expected.number > 0:
        problems += _anchor(chain, expected)
    return tuple(problems)


def verify_versions(store: Store) -> tuple[str, ...]:
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
    problems += [text for digest in sorted(blobs) for text in _blob(store, digest)]
    problems += _updates(store, versions)
    problems += _outcomes(store, versions)
    problems += _decisions(store, versions, evaluations)
    return tuple(problems)


def _read_chain(store: Store, problems: list[str]) -> Chain:
    chain: Chain = {}
    for info in store.list(PREFIX):
        number = number_of(info.key)
        if number is None:
            problems.append(f"{info.key}: is no log entry; nobody should write here")
            continue
        chain[number] = None
        try:
            chain[number] = read_entry(store, number)
        except AnamnesisError as error:
            problems.append(str(error))
    return chain


def _links(chain: Chain) -> Iterator[str]:
    """Checks each entry against the one before; ``chain`` is sorted by number."""
    for before, number in pairwise((0, *chain)):
        if number != before + 1:
            last = number - 1
            yield (
                f"log entry {last} is missing"
                if last == before + 1
                else f"log entries {before + 1} to {last} are missing"
            )
            continue
        entry, earlier = chain[number], chain.get(before)
        if entry and before == 0 and entry.previous:
            yield f"log entry {number} names an entry before it, but is the first"
        if entry and earlier and entry.previous != earlier.digest:
            yield f"log entry {number} does not continue log entry {before}: one of them was rewritten"


def _anchor(chain: Chain, expected: Head) -> Iterator[str]:
    end = max(chain, default=0)
    entry = chain.get(expected.number)
    if end < expected.number:
        yield f"the log ends at entry {end}, but entry {expected.number} was seen before: its tail was cut off"
    elif entry and entry.digest != expected.digest:
        seen = f"entry {expected.number} had the digest {expected.digest} before"
        yield f"{seen}, now it has {entry.digest}: the log was rewritten"


def _blob(store: Store, digest: str) -> Iterator[str]:
    try:
        if (found := digest_bytes(store.get(blob_key(digest)))) != digest:
            yield f"{blob_key(digest)}: has the digest {found}; its bytes were changed"
    except AnamnesisError as error:
        yield str(error)


def _updates(store: Store, versions: set[str]) -> Iterator[str]:
    try:
        for record in list_updates(store):
            if record.version not in versions:
                yield f"update {record.input}: its version {record.version} is missing"
    except AnamnesisError as error:
        yield str(error)


def _outcomes(store: Store, versions: set[str]) -> Iterator[str]:
    try:
        for outcome in list_outcomes(store):
            if outcome.version and outcome.version not in versions:
                yield f"outcome of {outcome.occasion.update}: its version {outcome.version} is missing"
    except AnamnesisError as error:
        yield str(error)


def _decisions(store: Store, versions: set[str], evaluations: set[str]) -> Iterator[str]:
    for number in filter(None, (number_of(info.key) for info in store.list(PREFIX))):
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
