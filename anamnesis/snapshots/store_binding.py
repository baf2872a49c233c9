"""A store belongs to one site and one split key, for ever: ``site.json``, written once."""

import json

from anamnesis.records import RefusedError, canonical_json
from anamnesis.storage.store import MissingError, Store

_KEY = "site.json"


def check_owner(store: Store, site: str, key_fingerprint: str) -> None:
    """Refuses a store of another site or key; one that is nobody's yet is accepted.

    Raises:
        RefusedError: names both sides.
    """
    try:
        found = json.loads(store.get(_KEY))
    except MissingError:
        return
    if found["site"] != site:
        raise RefusedError(f"{store.url} is the store of site {found['site']!r}, not of {site!r}")
    if found["key_fingerprint"] != key_fingerprint:
        raise RefusedError(
            f"{store.url}: site {site!r} was split with another key ({found['key_fingerprint']}, found "
            f"{key_fingerprint}); with this one test patients would get into training: use the first key"
        )


def claim_store(store: Store, site: str, key_fingerprint: str) -> None:
    """Makes the store this site's, or checks that it is.

    Raises:
        RefusedError: somebody else was first.
    """
    store.put_if_absent(_KEY, canonical_json({"schema": 1, "site": site, "key_fingerprint": key_fingerprint}))
    check_owner(store, site, key_fingerprint)
