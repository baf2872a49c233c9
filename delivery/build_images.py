"""Builds our images with buildah, without a container registry: ``python -m delivery.build_images FOLDER``.

    apt-get install --no-install-recommends buildah mmdebstrap

Run it as root. It builds each Containerfile unchanged on a base from Debian packages, or on the archive of ``--base``.
It writes each image as ``NAME.tar`` in the format of ``docker save``, with its software bill of materials.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from anamnesis import __version__
from delivery import sbom

ROOT = Path(__file__).resolve().parents[1]
CONTAINERFILES = {"anamnesis-operator": "Containerfile.operator", "anamnesis-training": "Containerfile"}
BASE_IMAGE = "localhost/anamnesis-base:1"
CA_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_MMDEBSTRAP_COMMAND = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
)
_INCLUDED_PACKAGES = "--include=usr-is-merged,python3,python3-venv,ca-certificates"
_EXCLUDED_PATHS = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


@dataclass(frozen=True, slots=True)
class BuildahEngine:
    """buildah with a private store.

    Attributes:
        store: folder of the store; the caller removes it.
    """

    store: Path

    def run(self, *arguments: str | Path, offline: bool = False) -> str:
        """Runs buildah, with ``offline`` in an empty network namespace; returns its standard output.

        Raises:
            subprocess.CalledProcessError: buildah failed.
        """
        network_isolation = ["unshare", "--net"] if offline else []
        command = [
            *network_isolation,
            "buildah",
            "--root",
            self.store / "root",
            "--runroot",
            self.store / "run",
            *arguments,
        ]
        return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def load(self, archive: Path) -> None:
        """Makes the base image from the archive of a file system."""
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, archive.resolve(), "/")
        self.run("commit", "--quiet", "--rm", container, BASE_IMAGE)

    def build(self, image: str, wheels: Path | None) -> None:
        """Builds one of ``CONTAINERFILES``; with ``wheels``, a folder with all wheels, it uses no network."""
        options = [f"--build-arg=BASE={BASE_IMAGE}", f"--volume={CA_CERTIFICATES}:{CA_CERTIFICATES}:ro"]
        if wheels:
            options += [f"--volume={wheels.resolve()}:/wheels:ro", "--build-arg=PIP_FIND_LINKS=/wheels"]
            options += ["--build-arg=PIP_NO_INDEX=1"]
        options += [f"--file={CONTAINERFILES[image]}", f"--tag={image}:{__version__}"]
        self.run("build", "--quiet", "--isolation=chroot", *options, ROOT, offline=wheels is not None)

    @contextmanager
    def mount(self, image: str) -> Iterator[Path]:
        """Yields the root of the image's file system."""
        container = self.run("from", f"{image}:{__version__}")
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("rm", container)

    def save(self, image: str, folder: Path) -> Path:
        """Writes the archive of an image and its software bill of materials to a folder; returns the archive."""
        archive = folder.resolve() / f"{image}.tar"
        archive.unlink(missing_ok=True)
        self.run("push", "--quiet", f"{image}:{__version__}", f"docker-archive:{archive}:{image}:{__version__}")
        with self.mount(image) as root:
            sbom.write_sbom(image, folder, root, sbom.source_time())
        return archive


def write_debian_archive(archive: Path) -> None:
    """Writes the archive of a small Debian with Python, with the layout of the official slim images."""
    exclusions = [f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED_PATHS]
    subprocess.run(
        [*_MMDEBSTRAP_COMMAND, _INCLUDED_PACKAGES, *exclusions, "bookworm", archive], check=True, capture_output=True
    )


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Builds our images with buildah and writes their archives.")
    parser.add_argument("folder", type=Path, help="folder for archives and bills of materials")
    parser.add_argument("--image", choices=CONTAINERFILES, help="build only this image")
    parser.add_argument("--base", type=Path, help="archive of a file system with Python; default: a new Debian")
    parser.add_argument("--wheels", type=Path, help="folder with all wheels; no package index is used")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.folder) as store:
        engine, base = BuildahEngine(Path(store)), options.base or Path(store, "base.tar")
        if not options.base:
            write_debian_archive(base)
        engine.load(base)
        for image in [options.image] if options.image else CONTAINERFILES:
            engine.build(image, options.wheels)
            print(engine.save(image, options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
