"""The binding of a store to one site and its split key: records ``keys/<number>.json``, each written once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.records import ConflictError, InputError, IntegrityError, RefusedError, canonical_json, decode, encode
from anamnesis.snapshots.keys import key_fingerprint
from anamnesis.snapshots.testsets import list_test_sets
from anamnesis.storage.store import Store

_PREFIX = "keys/"


@dataclass(frozen=True, slots=True)
class StoreBinding:
    """A site and its split key; the last record is in force.

    The store holds the key, so that a lost file or Secret does not lock the site. It also holds the images that the key
    protects: with the key, a reader of the store can also test whether a known number is one of its patients.

    Attributes:
        number: 1, 2, 3, ...; each later record replaced the key.
        site: name of the site.
        key: the split key, hexadecimal.
        replaced_fingerprint: fingerprint of the key before this one; empty for the first.
        aliases: pseudonym under this key -> pseudonym under an earlier key, of patients and studies whose images were
            recognised when the key was replaced.
        earlier_patients: pseudonyms that the earlier keys gave.
        trained_patients: those of them who were in training.
        held_out: pseudonyms under this key of patients who may be in a test set, and never train.
        schema: schema of this record.
    """

    number: int
    site: str
    key: str = field(repr=False)
    replaced_fingerprint: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    earlier_patients: tuple[str, ...] = ()
    trained_patients: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    schema: int = 1

    @property
    def split_key(self) -> bytes:
        """The key as HMAC takes it."""
        return bytes.fromhex(self.key)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the key."""
        return key_fingerprint(self.split_key)


def list_store_bindings(store: Store) -> tuple[StoreBinding, ...]:
    """Returns all records, oldest first; none for a store without a site.

    Raises:
        InputError: another release wrote the store.
        IntegrityError: a record was changed.
    """
    bindings = tuple(_read_binding(store, info.key) for info in store.list(_PREFIX))
    if not bindings and store.exists("site.json"):
        raise InputError(f"{store.url}: an earlier release wrote this store; choose another store and ingest again")
    return bindings


def read_store_binding(store: Store) -> StoreBinding | None:
    """Returns the record in force, or none for a store without a key."""
    return (list_store_bindings(store) or (None,))[-1]


def check_store_binding(store: Store, site: str, fingerprint: str) -> None:
    """Refuses a store of another site or key; accepts a store without a site.

    Args:
        store: the site's own store.
        site: name of the site.
        fingerprint: of the site's split key.

    Raises:
        RefusedError: the message names both sites or both fingerprints.
    """
    bindings, test_sets = list_store_bindings(store), list_test_sets(store)
    bound_site = bindings[-1].site if bindings else test_sets[-1].site if test_sets else site
    if bound_site != site:
        raise RefusedError(f"{store.url} is the store of site {bound_site!r}, not of {site!r}; choose another store")
    if bindings:
        expected_fingerprint = bindings[-1].fingerprint
    else:
        expected_fingerprint = test_sets[-1].key_fingerprint if test_sets else fingerprint
    if fingerprint != expected_fingerprint:
        raise RefusedError(_other_key_message(store, site, expected_fingerprint, fingerprint))
    accepted = {item for binding in bindings for item in (binding.fingerprint, binding.replaced_fingerprint)}
    for test_set in test_sets:
        if bindings and test_set.key_fingerprint not in accepted:
            raise RefusedError(_other_key_message(store, site, test_set.key_fingerprint, fingerprint))


def bind_store(store: Store, site: str, key: bytes) -> None:
    """Writes site and key to a store without a key, or checks its binding.

    Raises:
        RefusedError: the store is bound to another site or key.
    """
    check_store_binding(store, site, key_fingerprint(key))
    if read_store_binding(store) is None:
        _put_binding(store, StoreBinding(1, site, key.hex()))
        check_store_binding(store, site, key_fingerprint(key))  # another process may have been faster


def replace_binding(store: Store, binding: StoreBinding) -> None:
    """Writes the record that replaces the key of a store.

    Raises:
        ConflictError: another process replaced the key first.
    """
    if not _put_binding(store, binding) and read_store_binding(store) != binding:
        raise ConflictError(f"{store.url}: another process replaced the key of the site first; run the command again")


def _put_binding(store: Store, binding: StoreBinding) -> bool:
    return store.put_if_absent(f"{_PREFIX}{binding.number:020d}.json", canonical_json(encode(binding)))


def _read_binding(store: Store, key: str) -> StoreBinding:
    try:
        binding = decode(StoreBinding, json.loads(store.get(key)), "key")
        bytes.fromhex(binding.key)
    except (ValueError, InputError):  # without the text, which could have the key
        raise IntegrityError(
            f"{store.url}/{key}: the record of the split key is damaged; restore it from a backup. Without one, delete "
            "it, then run 'anamnesis key replace --site SITE --reason TEXT'"
        ) from None
    return binding


def _other_key_message(store: Store, site: str, expected: str, fingerprint: str) -> str:
    return (
        f"{store.url}: site {site!r} was split with another key: expected the fingerprint {expected}, found "
        f"{fingerprint}; give the first key, because this one would put test patients into training. If the first key "
        f"is lost, run 'anamnesis key replace --site {site} --reason TEXT'"
    )
