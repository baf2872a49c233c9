"""Writes a support bundle: one archive, with a list of what is in it and of what could not be read."""

import io
import json
import tarfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from anamnesis.cli.cluster.connection import Connection
from anamnesis.cli.cluster.support_bundle.parts import bundle_parts
from anamnesis.records import AnamnesisError, InputError


@dataclass(frozen=True, slots=True)
class BundleSummary:
    """What was written.

    Attributes:
        archive: its path.
        files: name -> size in bytes.
        missing: name -> why it is not there.
    """

    archive: str
    files: dict[str, int]
    missing: dict[str, str]


def write_bundle(connection: Connection, output: Path, operator_namespace: str, now: datetime) -> BundleSummary:
    """Writes what helps to find a fault, and nothing secret.

    Args:
        connection: to the cluster.
        output: a ``.tar.gz`` that does not exist yet; only its owner may read it.
        operator_namespace: where the operator runs.
        now: the time, UTC.

    Raises:
        InputError: the file exists, or cannot be written.
        UnreachableError: the API server does not answer at all.
    """
    connection.request("GET", "/version")
    files: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for part in bundle_parts(connection, operator_namespace):
        try:
            content = part.read()
        except AnamnesisError as error:
            missing[part.name] = str(error)
        else:
            files[part.name] = _encode_content(content)
    sizes = {name: len(data) for name, data in files.items()}
    omissions = (
        "Secrets",
        "environments",
        "others' labels and annotations",
        "logins and queries in URLs",
        "people's words",
    )
    manifest = {
        "written": now.isoformat(timespec="seconds"),
        "namespace": connection.namespace,
        "operatorNamespace": operator_namespace,
        "files": sizes,
        "missing": missing,
        "leftOut": omissions,
    }
    _write_archive(output, {"MANIFEST.json": _encode_content(manifest), **files}, now)
    return BundleSummary(str(output), sizes, missing)


def _encode_content(content: object) -> bytes:
    return (content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)).encode()


def _write_archive(output: Path, files: dict[str, bytes], now: datetime) -> None:
    folder = output.name.removesuffix(".gz").removesuffix(".tar")
    try:
        output.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}; name another file with -o") from error
    with tarfile.open(output, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(now.timestamp())
            archive.addfile(entry, io.BytesIO(data))
