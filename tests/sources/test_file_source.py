import errno
import os
import socket
from pathlib import Path

import pytest

from anamnesis.records import RefusedError
from anamnesis.sources import ListingProblem, open_source
from anamnesis.storage.store import ObjectInfo


def problems(items):
    return {item.key: item.problem for item in items if item.problem}


def test_broken_entries_of_a_folder_are_listed_and_do_not_stop_the_others(tmp_path):
    folder = tmp_path / "source"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "good.png").write_bytes(b"1")
    (folder / "linked").symlink_to("a")
    (folder / "a" / "copy.png").symlink_to("good.png")
    (folder / "a" / "dangling").symlink_to("nowhere")
    (folder / "a" / "itself").symlink_to("itself")
    (folder / "a" / "up").symlink_to("..")
    (folder / "root").symlink_to("/")
    (folder / ".hidden").symlink_to("nowhere")
    os.mkfifo(folder / "fifo.dcm")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.close()
    items = open_source(folder.as_uri()).list_items()
    broken = {
        "a/dangling": ListingProblem.BROKEN_LINK,
        "a/itself": ListingProblem.BROKEN_LINK,
        "a/up": ListingProblem.LINK_TO_PARENT,
        "linked/dangling": ListingProblem.BROKEN_LINK,
        "linked/itself": ListingProblem.BROKEN_LINK,
        "linked/up": ListingProblem.LINK_TO_PARENT,
        "root": ListingProblem.LINK_TO_PARENT,
        "fifo.dcm": ListingProblem.NOT_A_FILE,
        "socket": ListingProblem.NOT_A_FILE,
    }
    assert problems(items) == broken
    readable = ["a/copy.png", "a/good.png", "linked/copy.png", "linked/good.png"]
    assert [item.key for item in items] == sorted([*readable, *broken])


def test_a_folder_that_cannot_be_listed_stops_because_any_number_of_files_may_be_in_it(tmp_path, monkeypatch):
    list_folder = Path.iterdir

    def refuse_below(path):
        if path != tmp_path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return list_folder(path)

    (tmp_path / "Rossi").mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse_below)
    with pytest.raises(RefusedError, match="access to a file or folder was denied") as caught:
        open_source(tmp_path.as_uri()).list_items()
    assert "Rossi" not in str(caught.value)


def test_a_stray_key_of_a_bucket_is_listed_with_its_problem(monkeypatch):
    environment = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    source = open_source("s3://data/cxr", environment)
    keys = ["/stray.txt", "no//1.png", "no/1.png", "no/../2.png"]
    monkeypatch.setattr(source._store, "list", lambda: iter(ObjectInfo(key, "tag", 1) for key in keys))
    items = source.list_items()
    assert [item.key for item in items] == ["/stray.txt", "no//1.png", "no/1.png"]  # ``..`` counts as a hidden name
    assert problems(items) == dict.fromkeys(["/stray.txt", "no//1.png"], ListingProblem.UNREADABLE_NAME)
