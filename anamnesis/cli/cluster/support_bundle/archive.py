"""Writes a support bundle: one archive with a manifest of its files and of the parts that could not be read."""

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
    """The content of a support bundle.

    Attributes:
        archive: path of the archive.
        files: name -> size in bytes.
        missing: name -> the error.
    """

    archive: str
    files: dict[str, int]
    missing: dict[str, str]


def write_bundle(connection: Connection, output: Path, operator_namespace: str, now: datetime) -> BundleSummary:
    """Writes a support bundle without secrets.

    Args:
        connection: to the cluster.
        output: a ``.tar.gz`` that does not exist yet; only its owner may read it.
        operator_namespace: namespace of the operator.
        now: the time, UTC.

    Raises:
        InputError: the file exists or is not writable.
        UnreachableError: the API server does not respond.
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
        "labels and annotations of other tools",
        "logins and queries in URLs",
        "reasons that people wrote",
    )
    manifest = {
        "written": now.isoformat(timespec="seconds"),
        "namespace": connection.namespace,
        "operatorNamespace": operator_namespace,
        "files": sizes,
        "missing": missing,
        "omitted": omissions,
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
        raise InputError(f"{output}: {error.strerror}; give another file with -o") from error
    with tarfile.open(output, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(now.timestamp())
            archive.addfile(entry, io.BytesIO(data))
