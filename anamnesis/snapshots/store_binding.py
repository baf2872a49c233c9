"""A store belongs to one site and one split key, for ever: ``site.json``, written once."""

import json

from anamnesis.records import RefusedError, canonical_json
from anamnesis.storage.store import MissingObjectError, Store

_BINDING_KEY = "site.json"


def check_store_binding(store: Store, site: str, key_fingerprint: str) -> None:
    """Refuses a store of another site or key; one that is nobody's yet is accepted.

    Raises:
        RefusedError: names both sides.
    """
    try:
        binding = json.loads(store.get(_BINDING_KEY))
    except MissingObjectError:
        return
    if binding["site"] != site:
        raise RefusedError(f"{store.url} is the store of site {binding['site']!r}, not of {site!r}")
    if binding["key_fingerprint"] != key_fingerprint:
        raise RefusedError(
            f"{store.url}: site {site!r} was split with another key ({binding['key_fingerprint']}, found "
            f"{key_fingerprint}); with this one test patients would get into training: use the first key"
        )


def bind_store(store: Store, site: str, key_fingerprint: str) -> None:
    """Makes the store this site's, or checks that it is.

    Raises:
        RefusedError: somebody else was first.
    """
    store.put_if_absent(_BINDING_KEY, canonical_json({"schema": 1, "site": site, "key_fingerprint": key_fingerprint}))
    check_store_binding(store, site, key_fingerprint)
