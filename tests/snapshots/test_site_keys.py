"""The key of a site: derived from the network key, kept in the site's own store, the same for every model."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis import snapshots
from anamnesis.records import InputError, IntegrityError, RefusedError
from anamnesis.snapshots.keys import derive_site_key, key_fingerprint
from anamnesis.snapshots.site_keys import read_site_key
from anamnesis.snapshots.store_binding import read_store_binding

NETWORK, OTHER_NETWORK, OWN = "n" * 32, "m" * 32, "o" * 32
ENVIRONMENT = {"NETWORK": NETWORK, "OTHER": OTHER_NETWORK, "OWN": OWN}


def key_of(site, reference: str) -> bytes:
    return read_site_key(site.store, site.config.name, reference, environment=ENVIRONMENT)


@given(st.binary(min_size=32, max_size=64), st.text(), st.text())
def test_each_site_has_a_key_of_its_own(network_key, site, other_site):
    key = derive_site_key(network_key, site)
    assert (key == derive_site_key(network_key, other_site)) is (site == other_site)
    assert len(key) >= 32
    assert network_key not in key


def test_a_members_own_key_is_the_one_that_the_network_key_gives(site):
    derived = key_of(site, "env:NETWORK")
    environment = {"OWN": derived.decode()}
    assert read_site_key(site.store, "north", "site+env:OWN", environment=environment) == derived
    assert key_of(site, "site+env:OWN") == OWN.encode()


def test_a_lost_or_other_network_key_does_not_lock_a_site(site):
    site.key = key_of(site, "env:NETWORK")
    first = site.ingest()
    for reference in ("env:NETWORK", "env:OTHER", "env:LOST", "file:///lost/split.key", "site+env:LOST"):
        site.key = key_of(site, reference)
        assert site.ingest() == replace(first, reused=True)
    site.png("no/late.png")
    assert site.ingest().test_set == first.test_set


def test_an_own_key_that_differs_from_the_stores_is_refused(site):
    site.key = key_of(site, "env:NETWORK")
    site.ingest()
    with pytest.raises(RefusedError, match="or run 'anamnesis key replace --site north --reason TEXT'") as refusal:
        key_of(site, "site+env:OWN")
    assert key_fingerprint(site.key) in str(refusal.value)
    assert OWN not in str(refusal.value)


def test_a_store_without_its_key_takes_no_other_key(site):
    site.key = key_of(site, "env:NETWORK")
    site.ingest()
    for info in list(site.store.list("keys/")):
        site.store.delete(info.key)
    with pytest.raises(InputError, match="split key 'env:LOST'"):
        key_of(site, "env:LOST")
    site.png("no/late.png")
    with pytest.raises(RefusedError, match="run 'anamnesis key replace --site north --reason TEXT'"):
        snapshots.ingest(site.config, site.store, key_of(site, "env:OTHER"))
    site.key = key_of(site, "env:NETWORK")
    site.ingest()
    assert read_store_binding(site.store).split_key == site.key


def test_a_changed_record_is_refused_without_the_key_in_the_message(site):
    site.ingest()
    (record,) = site.store.list("keys/")
    document = json.loads(site.store.get(record.key))
    site.store.put(record.key, json.dumps(document | {"key": "f" * 64}).encode())
    site.png("no/late.png")
    with pytest.raises(RefusedError, match="was split with another key"):
        snapshots.ingest(site.config, site.store, key_of(site, "env:LOST"))
    site.store.put(record.key, b'{"key": "secret"}')
    with pytest.raises(IntegrityError, match="the record of the split key is damaged") as damage:
        key_of(site, "env:NETWORK")
    assert "secret" not in str(damage.value)


def test_a_store_of_an_earlier_release_is_refused(site):
    site.store.put("site.json", b"{}")
    with pytest.raises(InputError, match="an earlier release wrote this store"):
        site.ingest()
