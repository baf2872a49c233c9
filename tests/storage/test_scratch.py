"""The scratch folder: complete entries only, the least recently used make room, withdrawn ones go."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from anamnesis.records import InputError, digest_json
from anamnesis.storage.scratch import EntryName, Scratch

SIZE = 1 << 20


def name_of(number: int, owner: str = "file:///store", generation: str = "") -> EntryName:
    return EntryName(owner, generation, digest_json(number))


def write(scratch: Scratch, name: EntryName, content: bytes = b"pixels") -> None:
    with scratch.write_entry(name, {"0.array": SIZE}) as folder:
        (folder / "0.array").write_bytes(content.ljust(SIZE, b"\0"))


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "split-arrays", 3 * SIZE + 1000)


def test_an_entry_is_readable_by_this_user_alone(scratch: Scratch) -> None:
    assert scratch.open_entry(name_of(1)) is None
    write(scratch, name_of(1))
    lease = scratch.open_entry(name_of(1))
    assert lease
    assert (lease.folder / "0.array").read_bytes().startswith(b"pixels")
    for path in (scratch.root, *scratch.root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or scratch.root in path.parents
    assert stat.S_IMODE(scratch.root.stat().st_mode) == 0o700


def test_an_entry_that_was_not_finished_does_not_exist_and_its_remains_go(scratch: Scratch) -> None:
    with pytest.raises(KeyboardInterrupt), scratch.write_entry(name_of(1), {"0.array": SIZE}):
        raise KeyboardInterrupt
    assert scratch.open_entry(name_of(1)) is None
    killed = f"""
import os
import shutil
from pathlib import Path
from anamnesis.storage.scratch import EntryName, Scratch
with Scratch(Path({str(scratch.root)!r}), {SIZE}).write_entry({name_of(2)!r}, {{"0.array": {SIZE}}}):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    assert scratch.open_entry(name_of(2)) is None
    assert list(scratch.root.glob("*/*/.partial-*"))
    write(scratch, name_of(3))
    assert not list(scratch.root.glob("*/*/.partial-*"))


def test_the_first_of_two_writers_stays(scratch: Scratch) -> None:
    with scratch.write_entry(name_of(1), {"0.array": SIZE}) as folder:
        write(scratch, name_of(1), b"first")
        (folder / "0.array").write_bytes(b"second")
    lease = scratch.open_entry(name_of(1))
    assert lease
    assert (lease.folder / "0.array").read_bytes().startswith(b"first")
    assert len(scratch.entries()) == 1


def test_the_entry_that_was_used_longest_ago_makes_room_unless_it_is_in_use(scratch: Scratch) -> None:
    for number in (1, 2, 3):
        write(scratch, name_of(number))
        lease = scratch.open_entry(name_of(number))
        assert lease
        os.utime(lease.folder / "lock", (number, number))
    del lease
    in_use = scratch.open_entry(name_of(1))
    assert in_use
    os.utime(in_use.folder / "lock", (1, 1))  # the oldest, but in use
    write(scratch, name_of(4))
    assert scratch.open_entry(name_of(2)) is None
    assert all(scratch.open_entry(name_of(number)) for number in (1, 3, 4))


def test_another_generation_removes_the_entries_of_its_owner_alone(scratch: Scratch) -> None:
    write(scratch, name_of(1))
    write(scratch, name_of(1, owner="file:///other"))
    assert scratch.open_entry(name_of(1, generation="a patient was withdrawn")) is None
    assert scratch.open_entry(name_of(1)) is None
    assert scratch.open_entry(name_of(1, owner="file:///other"))


def test_everything_can_be_removed(scratch: Scratch) -> None:
    assert scratch.remove_all() == 0
    write(scratch, name_of(1))
    write(scratch, name_of(2, owner="file:///other"))
    assert scratch.remove_all("file:///other") == SIZE
    assert scratch.open_entry(name_of(1))
    assert scratch.remove_all() == SIZE
    assert scratch.entries() == []


def test_an_entry_that_is_removed_while_it_is_written_is_written_again(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch.write_entry(name_of(1), {"0.array": SIZE}) as folder:
        scratch.remove_all()
        (folder / "0.array").write_bytes(b"pixels")
    assert scratch.open_entry(name_of(1)) is None
    with scratch.write_entry(name_of(1), {"0.array": SIZE}):
        scratch.remove_all()
    with scratch.write_entry(name_of(1), {"0.array": SIZE}) as folder:  # its files go first, and then the folder
        (folder / "0.array").unlink()
        (folder / "0.array").read_bytes()
    with scratch.write_entry(name_of(1), {"0.array": SIZE}) as folder:
        (folder / "0.array").unlink()
    monkeypatch.setattr(
        "anamnesis.storage.scratch._allocate", lambda path, size: shutil.rmtree(path.parent) or path.open()
    )
    with scratch.write_entry(name_of(1), {"0.array": SIZE}) as folder:
        (folder / "0.array").read_bytes()
    monkeypatch.undo()
    assert scratch.entries() == []
    with pytest.raises(FileNotFoundError), scratch.write_entry(name_of(1), {"0.array": SIZE}) as folder:
        (folder / "another").read_bytes()
    write(scratch, name_of(1))
    assert scratch.open_entry(name_of(1))


def test_a_full_disk_or_a_folder_that_is_not_writable_names_the_variable(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "split-arrays", 1 << 60)
    too_large = scratch.write_entry(name_of(1), {"0.array": 1 << 50})
    with pytest.raises(InputError, match=r"the disk is full, .* set ANAMNESIS_SCRATCH"), too_large:
        pass
    assert not list(scratch.root.glob("*/*/*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"the folder is not usable \(Not a directory\)"):
        write(Scratch(tmp_path / "file" / "split-arrays", SIZE), name_of(1))


@pytest.mark.parametrize("text", ["many", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"ANAMNESIS_SCRATCH_GIB: expected a number of GiB above 0, found '{text}'"):
        Scratch.of_environment({"ANAMNESIS_SCRATCH_GIB": text})


def test_the_folder_comes_from_the_environment() -> None:
    assert Scratch.of_environment({"XDG_CACHE_HOME": "/cache"}) == Scratch(
        Path("/cache/anamnesis/split-arrays"), 64 << 30
    )
    assert Scratch.of_environment({"ANAMNESIS_SCRATCH": "/s", "ANAMNESIS_SCRATCH_GIB": "0.5"}) == Scratch(
        Path("/s/split-arrays"), 1 << 29
    )
