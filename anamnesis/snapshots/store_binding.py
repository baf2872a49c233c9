"""The binding of a store to one site and one split key: ``site.json``, written once."""

import json

from anamnesis.records import RefusedError, canonical_json
from anamnesis.storage.store import MissingObjectError, Store

_BINDING_KEY = "site.json"


def check_store_binding(store: Store, site: str, key_fingerprint: str) -> None:
    """Refuses a store of another site or key; accepts an unbound store.

    Raises:
        RefusedError: the message names both sites or both fingerprints.
    """
    try:
        binding = json.loads(store.get(_BINDING_KEY))
    except MissingObjectError:
        return
    if binding["site"] != site:
        raise RefusedError(
            f"{store.url} is the store of site {binding['site']!r}, not of {site!r}; choose another store"
        )
    if binding["key_fingerprint"] != key_fingerprint:
        raise RefusedError(
            f"{store.url}: site {site!r} was split with another key: expected the fingerprint "
            f"{binding['key_fingerprint']}, found {key_fingerprint}; use the first key, because this one would put "
            "test patients into training"
        )


def bind_store(store: Store, site: str, key_fingerprint: str) -> None:
    """Binds the store to the site and the key, or checks its binding.

    Raises:
        RefusedError: the store is bound to another site or key.
    """
    store.put_if_absent(_BINDING_KEY, canonical_json({"schema": 1, "site": site, "key_fingerprint": key_fingerprint}))
    check_store_binding(store, site, key_fingerprint)
