"""Writes the bundle for an air-gapped site: ``python -m delivery.airgap_bundle FOLDER``.

The bundle contains the chart, the list of images, software bills of materials, pages, and scripts that save, push and
verify images. With ``--images`` it includes the archives of ``python -m delivery.build_images``. Without it, the script
``save.sh`` of the bundle fetches them.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory

from anamnesis import __version__
from delivery import sbom
from delivery.image_references import ROOT, image_references

AIRGAP_FOLDER = Path(__file__).parent / "airgap"
COPIED_PATHS = ("docs", "manifests", "LICENSE")
CHECKSUM_FILE = "SHA256SUMS"


def write_bundle(folder: Path, archives: Path | None) -> None:
    """Writes the bundle to a new or empty folder.

    Args:
        folder: folder of the bundle.
        archives: folder with archives and bills of materials from ``delivery.build_images``.

    Raises:
        FileExistsError: the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder}: not empty; remove it, or give another folder")
    shutil.copytree(AIRGAP_FOLDER, folder, dirs_exist_ok=True)
    for name in COPIED_PATHS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name)
    _write_chart(folder / "chart")
    (folder / "images.txt").write_text("".join(f"{image}\n" for image in image_references()), encoding="utf-8")
    for image in sbom.IMAGES:
        if archives:
            _copy_image(image, archives, folder)
        else:
            sbom.write_sbom(image, folder / "sbom", None, sbom.source_time())
    (folder / CHECKSUM_FILE).write_text(checksums(folder), encoding="utf-8")


def _write_chart(folder: Path) -> None:
    """Packs the chart. Sets the times of its files, which Helm keeps, so that equal charts give equal packages."""
    import helm_python

    folder.mkdir()
    time = sbom.source_time().timestamp()
    with TemporaryDirectory() as scratch:
        chart = Path(shutil.copytree(ROOT / "charts" / "anamnesis", Path(scratch, "anamnesis")))
        for file in chart.rglob("*"):
            os.utime(file, (time, time))
        helm_python.package(chart, destination=folder)


def _copy_image(image: str, archives: Path, folder: Path) -> None:
    for name in ("images", "sbom"):
        (folder / name).mkdir(exist_ok=True)
    target = folder / "images" / f"{image}_{__version__}.tar"
    shutil.copyfile(archives / f"{image}.tar", target)
    shutil.copy(archives / f"{image}.cdx.json", folder / "sbom")


def checksums(folder: Path) -> str:
    """Returns the output of ``sha256sum`` for all files of a folder, except the checksums and their signatures."""
    files = sorted(f"./{path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file())
    lines = []
    for name in files:
        if not name.startswith(f"./{CHECKSUM_FILE}"):
            with (folder / name).open("rb") as file:
                lines.append(f"{file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes the bundle for an air-gapped site.")
    parser.add_argument("folder", type=Path, help="new or empty folder")
    parser.add_argument("--images", type=Path, help="folder with the output of `delivery.build_images`")
    options = parser.parse_args(arguments)
    try:
        write_bundle(options.folder, options.images)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print(options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
