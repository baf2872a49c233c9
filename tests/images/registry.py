"""A real container registry on loopback, and images small enough for it."""

import io
import json
import socket
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from builders.waiting import eventually


class Registry:
    """Debian's ``docker-registry``, while the context lasts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._config = folder / "config.yml"
        storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
        self._config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": self.address}}))
        trust = folder / ".config" / "containers" / "registries.conf"
        trust.parent.mkdir(parents=True)
        trust.write_text(f'[[registry]]\nlocation = "{self.address}"\ninsecure = true\n')
        self._folder = folder

    @property
    def environment(self) -> Mapping[str, str]:
        """In which skopeo speaks to it without TLS."""
        return {"HOME": str(self._folder)}

    def __enter__(self) -> "Registry":
        command = ["docker-registry", "serve", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        host, _, port = self.address.partition(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True


NOTHING: Mapping[str, bytes] = {"empty": b""}


def image_archive(
    target: Path, reference: str, programs: Mapping[str, bytes] = NOTHING, entry: Sequence[str] = ()
) -> None:
    """Writes an image of a few programs, or of one empty file, as ``docker save`` would."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as inner:
        for name, data in programs.items():
            _add(inner, name, data)
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{sha256(layer.getvalue()).hexdigest()}"]}
    config = {"architecture": "amd64", "os": "linux", "config": {"Entrypoint": [*entry]}, "rootfs": rootfs}
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer.getvalue()}
    files |= {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(target, "w") as archive:
        for name, data in files.items():
            _add(archive, name, data)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    file = tarfile.TarInfo(name)
    file.size, file.mode = len(data), 0o755
    archive.addfile(file, io.BytesIO(data))
