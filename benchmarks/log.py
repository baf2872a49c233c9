"""Reading a long log from a bucket on loopback: a new process, the same process again, and each entry by itself.

Needs a MinIO binary: ``ANAMNESIS_S3_SERVER``, or ``minio`` in ``PATH``. Every fourth entry is a decision with eight
criteria, the others are claims; a thousand updates have 4,000 entries.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice

from minio import Minio
from minio.commonconfig import SnowballObject

from anamnesis.records import (
    Criterion,
    CriterionResult,
    Decision,
    EntryKind,
    LogEntry,
    UnreachableError,
    Verdict,
    digest_bytes,
)
from anamnesis.registry import Log
from anamnesis.registry.log_entries import dump_entry, entry_key, read_entry
from anamnesis.registry.log_packs import PACK_SIZE, write_pack
from anamnesis.storage import MissingBucketError, Store, open_store
from anamnesis.storage.cached import CachedStore

SIZES = (4_000, 100_000)
_SINGLE_ENTRIES = 4_000
"""Reading all entries of a long log by themselves takes minutes: so many are read, and the time is multiplied."""
_KEYS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark-password"}
_COLD_COMMAND = """
import sys, time
from anamnesis.registry import Log
from anamnesis.storage import open_store
start = time.perf_counter()
state = Log(open_store(sys.argv[1])).state()
print(time.perf_counter() - start, len(state.entries))
"""


def run() -> list[dict[str, object]]:
    """Returns one row for each number of entries."""
    with _s3_server() as environment:
        return [_measure(f"s3://log/{size}", environment, size) for size in SIZES]


def _measure(url: str, environment: Mapping[str, str], size: int) -> dict[str, object]:
    store = open_store(url, environment)
    _write_log(store, environment, size)
    singly = _seconds_of(lambda: [read_entry(store, number) for number in range(1, _SINGLE_ENTRIES + 1)])
    cold = min(_cold_seconds(url, environment, size) for _ in range(3))
    head = _seconds_of(lambda: Log(store).head())
    log = Log(CachedStore(store))
    log.state()
    unchanged = min(_seconds_of(log.state) for _ in range(5))
    log.append(EntryKind.CLAIM, digest_bytes(b"new"), "operator", "update")
    return {
        "entries": size,
        f"each entry by itself, s (from {_SINGLE_ENTRIES:,})": singly * size / _SINGLE_ENTRIES,
        "new process, s": cold,
        "new process, head alone, s": head,
        "running process, s": unchanged,
        "running process, one new entry, s": _seconds_of(log.state),
    }


def _cold_seconds(url: str, environment: Mapping[str, str], size: int) -> float:
    command = [sys.executable, "-c", _COLD_COMMAND, url]
    output = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=True, text=True)
    seconds, count = output.stdout.split()
    assert int(count) == size
    return float(seconds)


def _seconds_of(action: object) -> float:
    start = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - start


def _write_log(store: Store, environment: Mapping[str, str], size: int) -> None:
    """Writes the entries, a thousand in one request, and the packs."""
    client = _client(environment["AWS_ENDPOINT_URL"].removeprefix("http://"))
    prefix = store.url.removeprefix("s3://log/")
    entries = _entries(size)
    while batch := list(islice(entries, PACK_SIZE)):
        stored = ((f"{prefix}/{entry_key(entry.number)}", dump_entry(entry)) for entry in batch)
        objects = [SnowballObject(key, data=io.BytesIO(data), length=len(data)) for key, data in stored]
        client.upload_snowball_objects("log", objects)
        write_pack(store, batch, batch[-1].digest)


def _entries(size: int) -> Iterator[LogEntry]:
    previous_digest, champion = "", None
    for number in range(1, size + 1):
        update, step = divmod(number - 1, 4)
        version = digest_bytes(f"version {update}".encode())
        is_decision = step == 2
        entry = LogEntry(
            number=number,
            previous_digest=previous_digest,
            nonce=f"{number:032x}",
            kind=EntryKind.PROMOTE if is_decision else EntryKind.CLAIM,
            subject=version if is_decision else digest_bytes(f"claim {update}".encode()),
            author="system:serviceaccount:anamnesis:anamnesis-operator",
            reason="update of site clinic",
            time="2026-01-01T00:00:00Z",
            decision=_decision(version, champion) if is_decision else None,
            deadline="" if is_decision else "2026-01-01T06:00:00Z",
        )
        champion = version if is_decision else champion
        previous_digest = entry.digest
        yield entry


def _decision(version: str, base: str | None) -> Decision:
    criteria = tuple(
        Criterion(
            name="forgetting",
            site=f"site-{number}",
            task="pneumonia",
            value=Decimal("0.0123"),
            limit=Decimal("0.03"),
            result=CriterionResult.PASSED,
            metric="AUROC",
            reference=version,
            low=Decimal("-0.0051"),
            high=Decimal("0.0297"),
            patients=212,
        )
        for number in range(8)
    )
    evaluations = tuple(digest_bytes(f"{version} {number}".encode()) for number in range(8))
    return Decision(Verdict.PROMOTE, version, base, base, criteria, evaluations, "every criterion passed")


@contextmanager
def _s3_server() -> Iterator[Mapping[str, str]]:
    """Runs a server with the bucket ``log``; yields the environment variables that name it."""
    binary = os.environ.get("ANAMNESIS_S3_SERVER") or shutil.which("minio")
    if not binary:
        raise SystemExit("no S3 server: set ANAMNESIS_S3_SERVER to the path of a minio binary")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    settings = {"MINIO_ROOT_USER": "benchmark", "MINIO_ROOT_PASSWORD": "benchmark-password"}
    environment = {**_KEYS, "AWS_ENDPOINT_URL": f"http://{address}"}
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "server", folder, "--address", address]
        server = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_up(environment)
            _client(address).make_bucket("log")
            yield environment
        finally:
            server.kill()
            server.wait()


def _client(address: str) -> Minio:
    return Minio(address, *_KEYS.values(), secure=False)


def _wait_until_up(environment: Mapping[str, str]) -> None:
    for _ in range(5):
        try:
            open_store("s3://log", environment).exists("a")
        except MissingBucketError:
            return
        except UnreachableError:
            time.sleep(1)
