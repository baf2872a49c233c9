"""The split key of one site: its store's, else its own, else the one that the network key gives."""

import os
from collections.abc import Mapping

from anamnesis.records import InputError, RefusedError
from anamnesis.snapshots.keys import derive_site_key, key_fingerprint, read_split_key
from anamnesis.snapshots.store_binding import read_store_binding
from anamnesis.storage.store import Store

OWN_KEY_PREFIX = "site+"
"""Begins the reference of a key that is the site's own; without it, the reference is that of the network key."""


def read_site_key(
    store: Store, site: str, reference: str, create: bool = False, environment: Mapping[str, str] = os.environ
) -> bytes:
    """Returns the split key of a site. Everything that needs the key of a site calls this function.

    The key in the site's store counts, so a lost network key does not lock the site, and two models use the same key.

    Args:
        store: the site's own store.
        site: name of the site.
        reference: ``env:NAME`` or ``file:///path`` of the network key; after ``site+`` of the site's own key.
        create: whether to create a random key where neither the store nor the file has one.
        environment: the environment for ``env:NAME``.

    Raises:
        InputError: there is no key.
        RefusedError: the site's own key differs from the key in its store.
    """
    binding = read_store_binding(store)
    if binding is None:
        return declared_site_key(site, reference, create, environment)
    if reference.startswith(OWN_KEY_PREFIX):
        _check_own_key(store, site, reference, environment, binding.split_key)
    return binding.split_key


def declared_site_key(
    site: str, reference: str, create: bool = False, environment: Mapping[str, str] = os.environ
) -> bytes:
    """Returns the key that a reference gives a site, without a look at its store.

    Raises:
        InputError: there is no key.
    """
    if reference.startswith(OWN_KEY_PREFIX):
        return read_split_key(reference.removeprefix(OWN_KEY_PREFIX), create, environment)
    return derive_site_key(read_split_key(reference, create, environment), site)


def _check_own_key(store: Store, site: str, reference: str, environment: Mapping[str, str], stored_key: bytes) -> None:
    try:
        own_key = declared_site_key(site, reference, environment=environment)
    except InputError:
        return  # lost: the store has it
    if own_key != stored_key:
        raise RefusedError(
            f"{store.url}: the key of spec.splitKey of site {site!r} has the fingerprint {key_fingerprint(own_key)}, "
            f"but the store has the key {key_fingerprint(stored_key)}; correct spec.splitKey, or run "
            f"'anamnesis key replace --site {site} --reason TEXT'"
        )
