import subprocess
import sys
import time

from anamnesis import snapshots
from anamnesis.snapshots.phantoms import write_phantom_site
from anamnesis.storage.store import open_store

KEY = b"0123456789abcdef0123456789abcdef"
PROGRAM = """
import sys
from anamnesis import snapshots
from anamnesis.records import SiteConfig, Task, TaskType
from anamnesis.storage.store import open_store
from anamnesis.snapshots import shards

source, store = sys.argv[1:]
task = Task("phantom-xray", TaskType.CLASSIFICATION, ("normal", "opacity"))
config = SiteConfig("phantom-xray", source, ("DX",), task)
shards.ShardWriter.__init__.__defaults__ = (1 << 16,)  # many small shards: many moments to be killed in
print("ready", flush=True)
print(snapshots.ingest(config, open_store(store), b"0123456789abcdef0123456789abcdef", 1).snapshot)
"""


def _start(tmp_path, config):
    command = [sys.executable, "-c", PROGRAM, config.source, (tmp_path / "store").as_uri()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_killed_at_any_moment_it_ends_as_if_never_killed(tmp_path):
    config = write_phantom_site(tmp_path / "source", "xray", 80, 1)
    expected = snapshots.ingest(config, open_store((tmp_path / "clean").as_uri()), KEY, 1)
    killed = 0
    for delay in (0.02, 0.1, 0.25):
        process = _start(tmp_path, config)
        time.sleep(delay)
        process.kill()
        killed += process.wait() == -9
    assert killed >= 2
    process = _start(tmp_path, config)
    assert process.communicate()[0].strip() == expected.snapshot
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
