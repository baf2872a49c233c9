"""Verification of a registry: the hash chain of the log, and all objects with a digest."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from anamnesis.records import AnamnesisError, Evaluation, IntegrityError, LogEntry, digest_bytes
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.identity import IDENTITY_KEY
from anamnesis.registry.log_entries import LOG_PREFIX, parse_entry_number, read_entry
from anamnesis.registry.log_packs import PACK_SIZE, check_packs
from anamnesis.registry.log_position import LogPosition
from anamnesis.registry.looks import list_looks
from anamnesis.registry.registry_store import signing_of
from anamnesis.registry.run_results import (
    SCHEDULED_EVALUATIONS,
    list_update_results,
    read_scheduled_evaluation,
)
from anamnesis.registry.signature_verification import find_unverified_entries
from anamnesis.registry.site_identity import list_sites
from anamnesis.registry.step_failures import list_step_failures, read_step_failure
from anamnesis.registry.update_records import list_update_records
from anamnesis.registry.versions import blob_key, list_versions, read_version
from anamnesis.registry.weights_files import check_weights_files
from anamnesis.storage.store import Store

Chain = dict[int, LogEntry | None]
"""Number -> entry; none for an unreadable entry."""


def verify_log(store: Store, expected_head: LogPosition | None = None) -> tuple[str, ...]:
    """Checks the log alone.

    The single entries are the log, and each pack is compared with them. The check finds changed bytes, missing entries,
    broken links and, with public keys, entries without a signature. Removed last entries and a completely rewritten
    chain are found only with ``expected_head``, a head that was kept outside the registry.

    Args:
        store: store of the registry.
        expected_head: the head at the last check.

    Returns:
        One sentence for each problem, with the number of the entry; empty when the log is intact.
    """
    problems: list[str] = []
    chain = _read_chain(store, problems)
    problems += _check_links(chain)
    problems += _check_signatures(store, chain)
    if expected_head is not None and expected_head.number > 0:
        problems += _check_expected_head(chain, expected_head)
    problems += check_packs(
        store, {number: entry.digest for number, entry in chain.items() if entry and number % PACK_SIZE == 0}
    )
    return tuple(problems)


def verify_objects(store: Store) -> tuple[str, ...]:
    """Checks all but the log: versions, blobs, evaluations, looks at test sets, run results, imported weights.

    Also checks that the versions and evaluations of the log's decisions are stored.

    Returns:
        One sentence for each problem, with the name of the damaged object.
    """
    problems: list[str] = []
    versions, blobs, evaluations = set(list_versions(store)), set[str](), dict[str, Evaluation]()
    for digest in sorted(versions):
        try:
            version = read_version(store, digest)
            blobs.update(version.parts.values())
            if version.base is not None and version.base not in versions:
                problems.append(f"version {digest}: the base {version.base} is missing; restore the base from a backup")
            evaluations.update({item.digest: item for item in read_evaluations(store, digest)})
        except AnamnesisError as error:
            problems.append(str(error))
    problems += [text for digest in sorted(blobs) for text in _check_blob(store, digest)]
    problems += _check_update_records(store, versions)
    problems += _check_update_results(store, versions)
    problems += _check_looks(store, evaluations.values())
    problems += _check_sites(store)
    problems += _check_scheduled_evaluations(store)
    problems += _check_step_failures(store)
    problems += check_weights_files(store)
    problems += _check_decisions(store, versions, set(evaluations))
    return tuple(problems)


def _read_chain(store: Store, problems: list[str]) -> Chain:
    chain: Chain = {}
    for info in store.list(LOG_PREFIX):
        number = parse_entry_number(info.key)
        if number is None:
            problems.append(f"{info.key}: not a log entry; delete it, and check who can write to the registry")
            continue
        chain[number] = None
        try:
            chain[number] = read_entry(store, number)
        except AnamnesisError as error:
            problems.append(str(error))
    return chain


def _check_links(chain: Chain) -> Iterator[str]:
    """Checks each entry against the entry before it; ``chain`` is sorted by number."""
    for previous_number, number in pairwise((0, *chain)):
        if number != previous_number + 1:
            last_missing = number - 1
            yield (
                f"log entry {last_missing} is missing; restore it from a backup"
                if last_missing == previous_number + 1
                else f"log entries {previous_number + 1} to {last_missing} are missing; restore them from a backup"
            )
            continue
        entry, previous_entry = chain[number], chain.get(previous_number)
        if entry and previous_number == 0 and entry.previous_digest:
            yield (
                f"log entry {number} is the first entry, but holds the digest of an earlier one; "
                "restore the log from a backup"
            )
        if entry and previous_entry and entry.previous_digest != previous_entry.digest:
            yield (
                f"log entry {number} does not continue log entry {previous_number}: one of them was rewritten; "
                "restore the log from a backup"
            )


def _check_signatures(store: Store, chain: Chain) -> Iterator[str]:
    signing = signing_of(store)
    if not signing.public_keys or not chain:
        return
    if not signing.registry:
        yield f"{IDENTITY_KEY} is missing, so no signature can be verified; restore it from a backup"
        return
    yield from map(str, find_unverified_entries(filter(None, chain.values()), signing))


def _check_expected_head(chain: Chain, expected_head: LogPosition) -> Iterator[str]:
    last_number = max(chain, default=0)
    entry = chain.get(expected_head.number)
    if last_number < expected_head.number:
        yield (
            f"the log ends at entry {last_number}, but entry {expected_head.number} existed before: "
            "the last entries were removed; restore the log from a backup"
        )
    elif entry and entry.digest != expected_head.digest:
        yield (
            f"log entry {expected_head.number} had the digest {expected_head.digest} before and has {entry.digest} "
            "now: the log was rewritten; restore the log from a backup"
        )


def _check_blob(store: Store, digest: str) -> Iterator[str]:
    try:
        if (actual_digest := digest_bytes(store.get(blob_key(digest)))) != digest:
            yield (
                f"{blob_key(digest)}: its bytes were changed, their digest is {actual_digest}; restore it from a backup"
            )
    except AnamnesisError as error:
        yield str(error)


def _check_update_records(store: Store, versions: set[str]) -> Iterator[str]:
    try:
        for record in list_update_records(store):
            if record.version not in versions:
                yield (
                    f"update {record.input_digest}: the version {record.version} of the update is missing; "
                    "restore the version from a backup"
                )
    except AnamnesisError as error:
        yield str(error)


def _check_update_results(store: Store, versions: set[str]) -> Iterator[str]:
    try:
        for update_result in list_update_results(store):
            if update_result.version and update_result.version not in versions:
                yield (
                    f"result of update {update_result.trigger.update}: the version {update_result.version} is missing; "
                    "restore the version from a backup"
                )
    except AnamnesisError as error:
        yield str(error)


def _check_sites(store: Store) -> Iterator[str]:
    try:
        list(list_sites(store))
    except AnamnesisError as error:
        yield str(error)


def _check_looks(store: Store, evaluations: Iterable[Evaluation]) -> Iterator[str]:
    try:
        looks = {(look.test_set, look.version) for look in list_looks(store)}
    except AnamnesisError as error:
        yield str(error)
        return
    for item in evaluations:
        if item.look and (item.test_set, item.version) not in looks:
            yield (
                f"evaluation {item.digest} of {item.version} has no look at {item.test_set}: the list of looks was "
                "cut; restore it from a backup"
            )


def _check_scheduled_evaluations(store: Store) -> Iterator[str]:
    for info in store.list(SCHEDULED_EVALUATIONS):
        try:
            read_scheduled_evaluation(store, info.key.removeprefix(SCHEDULED_EVALUATIONS).removesuffix(".json"))
        except AnamnesisError as error:
            yield str(error)


def _check_step_failures(store: Store) -> Iterator[str]:
    for _, author, run in list_step_failures(store):
        try:
            read_step_failure(store, author, run)
        except AnamnesisError as error:
            yield str(error)


def _check_decisions(store: Store, versions: set[str], evaluations: set[str]) -> Iterator[str]:
    for number in filter(None, (parse_entry_number(info.key) for info in store.list(LOG_PREFIX))):
        try:
            decision = read_entry(store, number).decision
        except IntegrityError:
            continue  # ``verify_log`` reports it
        if decision is None:
            continue
        if decision.candidate not in versions:
            yield (
                f"log entry {number} decides on version {decision.candidate}, which is missing; "
                "restore the version from a backup"
            )
        for digest in decision.evaluations:
            if digest not in evaluations:
                yield (
                    f"log entry {number} uses the evaluation {digest}, which is missing or was changed; "
                    "restore the evaluation from a backup"
                )
