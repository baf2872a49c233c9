import signal
import subprocess
import sys

from anamnesis import snapshots
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.storage.store import open_store

KEY = b"0123456789abcdef0123456789abcdef"
PROGRAM = """
import os, signal, sys
from anamnesis import snapshots
from anamnesis.records import SiteConfig, Task, TaskType
from anamnesis.storage.store import open_store
from anamnesis.snapshots import shards

source, store, writes = sys.argv[1:]
left = int(writes)

def kill_at_the_last_write(event, arguments):
    global left
    if event in ("os.rename", "os.link"):  # makes a file of the store visible
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

task = Task("phantom-xray", TaskType.CLASSIFICATION, ("normal", "opacity"))
config = SiteConfig("phantom-xray", source, ("DX",), task)
shards.ShardWriter.__init__.__defaults__ = (1 << 16,)  # many small shards: many moments to be killed in
sys.addaudithook(kill_at_the_last_write)
print(snapshots.ingest(config, open_store(store), b"0123456789abcdef0123456789abcdef", 1).snapshot)
"""


def test_killed_inside_of_a_write_it_ends_as_if_never_killed(tmp_path):
    config = write_phantom_site(tmp_path / "source", "xray", 80, 1)
    expected = snapshots.ingest(config, open_store((tmp_path / "clean").as_uri()), KEY, 1)
    for writes in (1, 10, 25, 1000):
        command = [sys.executable, "-c", PROGRAM, config.source, (tmp_path / "store").as_uri(), str(writes)]
        process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        assert process.returncode == (0 if writes == 1000 else -signal.SIGKILL)
    assert process.stdout.strip() == expected.snapshot
    result = snapshots.ingest(config, open_store((tmp_path / "store").as_uri()), KEY, 1)
    assert result.reused
    assert (result.snapshot, result.test_set) == (expected.snapshot, expected.test_set)


def test_killed_between_any_two_writes_it_ends_the_same(site, make_site, monkeypatch):
    class IngestKilledError(Exception):
        pass

    class DyingStore:
        """A store whose process is killed after some writes."""

        def __init__(self, store, writes):
            self._store, self._left = store, writes

        def __getattr__(self, name):
            return getattr(self._store, name)

        def _write(self, name, key, data):
            if self._left == 0:
                raise IngestKilledError
            self._left -= 1
            return getattr(self._store, name)(key, data)

        def put(self, key, data):
            return self._write("put", key, data)

        def put_if_absent(self, key, data):
            return self._write("put_if_absent", key, data)

    from anamnesis.snapshots import shards

    monkeypatch.setattr(shards.ShardWriter.__init__, "__defaults__", (1000,))
    expected = site.ingest()
    interrupted_site = make_site("other")
    interrupted_site.config = site.config
    writes, deaths = 0, 0
    while True:
        try:
            result = snapshots.ingest(
                interrupted_site.config, DyingStore(interrupted_site.store, writes), interrupted_site.key, 1
            )
            break
        except IngestKilledError:
            writes, deaths = writes + 1, deaths + 1
    assert deaths > 5
    assert (result.snapshot, result.test_set) == (expected.snapshot, expected.test_set)
    assert interrupted_site.ingest().reused
