"""Writes the bundle for a site without a network: ``python -m delivery.airgap_bundle FOLDER``.

Chart, list of images, what is in them, pages, and scripts to bring images across and check everything. With
``--images``, the archives of ``python -m delivery.build_images`` go along; else ``save.sh`` in the bundle fetches them.
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
    """Writes the bundle into a folder that is not there or empty.

    Args:
        folder: of the bundle.
        archives: of images and lists of their contents, as ``delivery.build_images`` writes them.

    Raises:
        FileExistsError: there is something in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder}: not empty; remove it, or name another folder")
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
    """Packs the chart; its files' times are set, as Helm keeps them, so that equal charts are equal packages."""
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
    """Returns what ``sha256sum`` would print of every file in a folder but itself and its signatures."""
    files = sorted(f"./{path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file())
    lines = []
    for name in files:
        if not name.startswith(f"./{CHECKSUM_FILE}"):
            with (folder / name).open("rb") as file:
                lines.append(f"{file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes the bundle for a site without a network.")
    parser.add_argument("folder", type=Path, help="written anew; must be empty or missing")
    parser.add_argument("--images", type=Path, help="folder with archives and lists that `delivery.build_images` wrote")
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
