from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from anamnesis.records import InputError
from anamnesis.storage import MissingObjectError, Store, child_url, open_store


def test_an_object_is_read_as_it_was_written(store: Store) -> None:
    data = bytes(range(256)) * 5000
    store.put("blobs/a", data)
    assert store.get("blobs/a") == data
    assert store.exists("blobs/a")
    store.put("blobs/a", b"")
    assert store.get("blobs/a") == b""


def test_the_error_names_the_missing_object(store: Store) -> None:
    store.put("a/b", b"x")
    for key in ("nothing", "a", "a/b/c"):
        assert not store.exists(key)
        with pytest.raises(MissingObjectError, match=key):
            store.get(key)


def test_put_if_absent_lets_the_first_win_and_equal_bytes_mean_that_we_had_won(store: Store) -> None:
    assert store.put_if_absent("log/1", b"ours")
    assert store.put_if_absent("log/1", b"ours")
    assert not store.put_if_absent("log/1", b"theirs")
    assert store.get("log/1") == b"ours"


def test_of_racing_writers_one_wins(opener: Callable[[], Store]) -> None:
    store = opener()
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(5):
            won = list(pool.map(lambda i, key=f"log/{round_}": store.put_if_absent(key, b"%d" % i), range(8)))
            assert won.count(True) == 1
            assert store.get(f"log/{round_}") == b"%d" % won.index(True)


def test_a_listing_is_sorted_by_key_and_takes_any_prefix(store: Store) -> None:
    keys = ["a-b", "a/b/c", "a/d", "a/d.json", "ab", "b/x", "probe"]
    for key in reversed(keys):
        store.put_if_absent(key, key.encode())
    store.put("probe", b"probe")  # S3 leaves one from its probe
    assert [info.key for info in store.list()] == keys
    assert [info.key for info in store.list("a")] == keys[:5]
    assert [info.key for info in store.list("a/")] == ["a/b/c", "a/d", "a/d.json"]
    assert [info.key for info in store.list("a/d")] == ["a/d", "a/d.json"]
    assert [info.key for info in store.list("a", after="a/b/c")] == ["a/d", "a/d.json", "ab"]
    assert list(store.list("nowhere/")) == []
    assert [info.size for info in store.list("a/b")] == [5]


@pytest.mark.parametrize("key", ["a b/c.json", "ü/ß+%20=&?#.json", "a'b\"c", "..a/b..", "_/~"])
def test_a_key_may_hold_any_character(store: Store, key: str) -> None:
    assert store.put_if_absent(key, b"x")
    assert store.get(key) == b"x"
    assert key in [info.key for info in store.list(key[:3])]
    store.delete(key)
    assert not store.exists(key)


def test_an_etag_changes_with_the_content(store: Store) -> None:
    store.put("a", b"one")
    (before,) = store.list("a")
    store.put("a", b"three")
    (after,) = store.list("a")
    assert before.etag != after.etag
    assert after.modified >= before.modified > 1e9


def test_deleting_twice_is_harmless(store: Store) -> None:
    store.put("a/b", b"x")
    store.delete("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../../b", ".", "a/./b", "a\0b"])
def test_a_key_cannot_leave_the_root(store: Store, key: str) -> None:
    actions: list[Callable[[], object]] = [
        lambda: store.get(key),
        lambda: store.put(key, b""),
        lambda: store.put_if_absent(key, b""),
        lambda: store.exists(key),
        lambda: store.delete(key),
    ]
    for action in actions:
        with pytest.raises(InputError, match="cannot name an object"):
            action()


def test_probe_leaves_a_store_that_works(store: Store) -> None:
    store.check_conditional_writes()
    store.check_conditional_writes()
    assert list(store.list_unfinished_writes()) == []


def test_a_store_opens_again_by_its_url(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("a name with spaces, % and ü")
    store = open_store(str(path))
    store.put("site/x", b"1")
    assert store.url.startswith("file:///")
    assert open_store(store.url).get("site/x") == b"1"
    assert open_store(child_url(store.url, "site")).get("x") == b"1"


def test_a_child_stays_below_its_parent() -> None:
    assert child_url("s3://bucket/prefix/", "sites", "a") == "s3://bucket/prefix/sites/a"
    assert child_url("folder", "a") == "folder/a"
    with pytest.raises(InputError):
        child_url("s3://bucket", "..")


@pytest.mark.parametrize("url", ["", "http://x/y", "file://relative/path", "ftp:///x"])
def test_an_unknown_url_says_what_was_expected(url: str) -> None:
    with pytest.raises(InputError, match="expected file:///absolute/path"):
        open_store(url)
