"""Looks at frozen test sets: an append-only list for each, so that the gate knows how often a test set was used."""

from collections.abc import Iterator, Sequence

from anamnesis.records import IntegrityError, Look, digest_hex
from anamnesis.registry.registry_store import load_signed, write_signed
from anamnesis.storage.store import Store

LOOKS = "looks/"


def record_look(store: Store, test_set: str, *, version: str, base: str, purpose: str) -> int:
    """Records that a version is about to be scored on a test set, unless this look is recorded.

    Call it before the test set is opened: a run that is killed in between has used the look. Two writers never get one
    number: the second reads the list again.

    Args:
        store: the model's registry.
        test_set: digest of the test set.
        version: digest of the version.
        base: digest of the version that it was trained from; empty for a first version.
        purpose: ``CANDIDATE``, or the name of a scheduled evaluation.

    Returns:
        Which version of its base on this test set it is: 1, 2, 3, ... Each version counts once: the same weights on the
        same images give no second chance.

    Raises:
        IntegrityError: a look was changed or removed, or has no signature that counts.
        RefusedError: this process has no key to sign it.
    """
    while True:
        looks = read_looks(store, test_set)
        if not any((look.version, look.purpose) == (version, purpose) for look in looks):
            look = Look(test_set, len(looks) + 1, version=version, base=base, purpose=purpose)
            write_signed(store, _look_key(look), look)
            continue  # reads the list again: another writer may have had the number
        return count_candidates(looks, version)


def count_candidates(looks: Sequence[Look], version: str) -> int:
    """Returns how many versions of one base were scored until ``version`` was, this one included; 0 if it never was."""
    bases = {look.version: look.base for look in looks}  # in the order of their first looks
    if version not in bases:
        return 0
    versions_of_base = [item for item, base in bases.items() if base == bases[version]]
    return versions_of_base.index(version) + 1


def read_looks(store: Store, test_set: str) -> tuple[Look, ...]:
    """Returns all looks at a test set, in their order.

    Raises:
        IntegrityError: a look was changed, removed or stored under another key, or has no signature that counts.
    """
    return tuple(_read_looks(store, f"{LOOKS}{digest_hex(test_set)}/"))


def list_looks(store: Store) -> Iterator[Look]:
    """Yields the looks at all test sets; raises the errors of ``read_looks``."""
    for folder in sorted({info.key.rpartition("/")[0] for info in store.list(LOOKS)}):
        yield from _read_looks(store, f"{folder}/")


def _read_looks(store: Store, folder: str) -> Iterator[Look]:
    for number, info in enumerate(store.list(folder), start=1):
        look = load_signed(store, Look, info.key)
        if look.number != number or _look_key(look) != info.key:
            raise IntegrityError(
                f"{info.key}: expected look {number} at this test set, found look {look.number} at {look.test_set}: "
                "a look was removed or overwritten; restore it from a backup"
            )
        yield look


def _look_key(look: Look) -> str:
    return f"{LOOKS}{digest_hex(look.test_set)}/{look.number:020d}.json"
