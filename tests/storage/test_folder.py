import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from anamnesis.records import InputError, RefusedError
from anamnesis.storage import Store
from anamnesis.storage.folder import FolderStore


def test_a_file_system_without_links_is_refused_with_advice(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(RefusedError, match=r"does not support hard links.*choose a folder"):
        folder.put_if_absent("log/1", b"x")
    with pytest.raises(RefusedError, match="does not support hard links"):
        folder.check_conditional_writes()
    assert list(folder.list()) == list(folder.list_unfinished_writes()) == []


def test_a_lost_reply_of_a_network_file_system_is_a_win(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_and_forget(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "sent twice")

    monkeypatch.setattr(os, "link", link_and_forget)
    assert folder.put_if_absent("log/1", b"ours")


def test_no_reader_sees_a_torn_file_while_writers_are_killed(tmp_path: Path) -> None:
    store, size = FolderStore(tmp_path), 1_000_000
    store.put("part", b"\0" * size)
    context = multiprocessing.get_context("fork")
    for wait in (0.01, 0.03, 0.05, 0.08, 0.12):
        writer = context.Process(target=_write_forever, args=(store, size))
        writer.start()
        end = time.monotonic() + wait
        while time.monotonic() < end:
            data = store.get("part")
            assert data == data[:1] * size
        writer.kill()
        writer.join()
    assert {info.key.partition("-")[0] for info in store.list()} <= {"part", "new"}
    assert all(info.size == size for info in store.list())


def _write_forever(store: FolderStore, size: int) -> None:
    for i in range(1_000_000):
        store.put("part", bytes([i % 256]) * size)
        store.put_if_absent(f"new-{i}", bytes([i % 256]) * size)


def test_unfinished_writes_are_not_listed_and_can_be_deleted(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("blobs/a", b"x")
    (tmp_path / "blobs" / ".tmp-0123").write_bytes(b"half")
    assert [info.key for info in store.list()] == ["blobs/a"]
    (unfinished_write,) = store.list_unfinished_writes()
    store.delete(unfinished_write.key)
    assert list(store.list_unfinished_writes()) == []
    with pytest.raises(InputError, match="reserved for temporary files"):
        store.put("blobs/.tmp-1", b"")


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    data, other_folder = tmp_path / "data", tmp_path / "other"
    (data / "a").mkdir(parents=True)
    other_folder.mkdir()
    (other_folder / "x").write_bytes(b"x")
    (data / "a" / "up").symlink_to(data)
    (data / "b").symlink_to(other_folder)
    (data / "broken").symlink_to(tmp_path / "nothing")
    os.mkfifo(data / "pipe")
    assert [info.key for info in FolderStore(data).list()] == ["b/x"]


def test_a_folder_without_access_says_so(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a", b"")

    def forbidden(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", forbidden)
    monkeypatch.setattr(os, "fsync", forbidden)
    with pytest.raises(RefusedError, match="give the current user access"):
        list(folder.list())
    with pytest.raises(RefusedError, match="give the current user access"):
        folder.put("b", b"")


def test_a_key_below_an_object_cannot_be_written(folder: Store) -> None:
    folder.put("a", b"")
    with pytest.raises(Exception, match="File exists"):
        folder.put("a/b", b"")
