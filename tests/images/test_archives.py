"""What is in the images that were built from the Containerfiles."""

import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from anamnesis import __version__
from delivery import sbom

pytestmark = [pytest.mark.images, pytest.mark.parametrize("image", sbom.IMAGES)]
PACKAGES = "opt/anamnesis/lib/python3.11/site-packages/"


def paths(archive: Path) -> dict[str, int]:
    """All paths in an image, with their modes; some builders write the kind of file into the mode too."""
    modes: dict[str, int] = {}
    with tarfile.open(archive) as file:
        for layer in json.loads(content(file, "manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=file.extractfile(layer)) as inner:
                modes |= {member.name.removeprefix("./").rstrip("/"): stat.S_IMODE(member.mode) for member in inner}
    return modes


def content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def normalised_name(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def test_the_operators_image_is_small(folder: Path, image: str) -> None:
    limit = 250e6 if image == "anamnesis-operator" else 6e9
    assert (folder / f"{image}.tar").stat().st_size < limit


def test_it_says_what_it_is_and_is_not_root(folder: Path, image: str) -> None:
    with tarfile.open(folder / f"{image}.tar") as archive:
        manifest = json.loads(content(archive, "manifest.json"))[0]
        config: dict[str, Any] = json.loads(content(archive, manifest["Config"]))
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Labels"]["org.opencontainers.image.title"] == image
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == __version__
    assert not any(word in json.dumps(config).lower() for word in ("password", "secret", "token"))


def test_what_is_in_it_is_listed(folder: Path, image: str) -> None:
    package_paths = [
        path.removeprefix(PACKAGES) for path in paths(folder / f"{image}.tar") if path.startswith(PACKAGES)
    ]
    metadata = [path.removesuffix(".dist-info/METADATA") for path in package_paths if path.count("/") == 1]
    installed = {normalised_name(entry.rpartition("-")[0]) for entry in metadata if "/" not in entry}
    listed = [component["purl"] for component in json.loads((folder / f"{image}.cdx.json").read_text())["components"]]
    assert {
        normalised_name(purl.removeprefix("pkg:pypi/").partition("@")[0]) for purl in listed if ":pypi/" in purl
    } == installed
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in listed)
    assert not {"pip", "pytest", "cyclonedx-python-lib"} & installed
    assert ("torch" in installed) == (image == "anamnesis-training")


def test_any_user_can_write_where_kubeflows_launcher_does(folder: Path, image: str) -> None:
    modes = paths(folder / f"{image}.tar")
    expected_mode = 0o1777 if image == "anamnesis-training" else None
    assert [modes.get(directory) for directory in ("gcs", "minio", "s3")] == [expected_mode] * 3
