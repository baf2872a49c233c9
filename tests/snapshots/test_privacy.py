from dataclasses import replace

import pytest
from builders.leak_search import find_texts, folder_bytes, identifying_texts

from anamnesis import snapshots
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.storage.store import open_store

KEY = b"0123456789abcdef0123456789abcdef"


def find_leaks(folder, texts):
    return find_texts(folder_bytes(folder), texts)


@pytest.fixture
def ingested(tmp_path):
    config = write_phantom_site(tmp_path / "source", "xray", 60, 7)
    config = replace(config, attributes=("Sex", "AgeBand", "Manufacturer"))
    result = snapshots.ingest(config, open_store((tmp_path / "store").as_uri()), KEY)
    return tmp_path, config, result


def test_nothing_identifying_is_in_any_byte_of_the_store(ingested):
    folder, _, result = ingested
    texts = identifying_texts(folder / "source")
    assert len(texts) > 500
    assert result.counts["train"] + result.counts["test"] == 120
    assert find_leaks(folder / "store", texts) == set()


def test_the_search_finds_what_is_hidden(ingested):
    folder, _, _ = ingested
    texts = {"Bianchi^Paolo", "Bianchi", "Ospedale San Luca", "20240319", "IM000003"}
    assert texts <= identifying_texts(folder / "source")
    assert find_leaks(folder / "store", texts) == set()
    shard = next((folder / "store" / "shards").glob("*.safetensors"))
    original = shard.read_bytes()
    for form in (b"BIANCHI^Paolo", "Bianchi".encode("utf-16-be"), b"Ospedale San Luca".hex().encode(), b"20240319"):
        shard.write_bytes(original[:5000] + form + original[5000:])
        assert find_leaks(folder / "store", texts)
    shard.write_bytes(original)
    shard.rename(shard.with_name("IM000003"))
    assert find_leaks(folder / "store", texts) == {"IM000003"}


def test_the_quarantine_list_names_files_and_nothing_else_does(ingested):
    folder, config, _ = ingested
    (folder / "source" / "normal" / "Lindqvist.dcm").write_bytes(b"broken")
    store = open_store((folder / "store").as_uri())
    assert snapshots.ingest(config, store, KEY).counts["quarantined"] == 1
    assert find_leaks(folder / "store", {"Lindqvist"}) == {"Lindqvist"}
    for path in (folder / "store" / "quarantine").iterdir():
        path.unlink()
    assert find_leaks(folder / "store", {"Lindqvist"}) == set()


def test_only_declared_attributes_are_kept_and_only_in_bands(ingested, tmp_path):
    folder, config, result = ingested
    records = snapshots.read_snapshot_manifest(open_store((folder / "store").as_uri()), result.snapshot).samples
    assert {tuple(sorted(record.attributes)) for record in records} == {("AgeBand", "Manufacturer", "Sex")}
    assert {record.attributes["Manufacturer"] for record in records} == {"Siemens", "GE", "Philips"}
    store = open_store((tmp_path / "plain").as_uri())
    plain = snapshots.ingest(replace(config, attributes=()), store, KEY)
    assert all(not record.attributes for record in snapshots.read_snapshot_manifest(store, plain.snapshot).samples)
