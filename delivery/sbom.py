"""Writes what our images are made of, as CycloneDX: ``python -m delivery.sbom FOLDER``.

Read from the installed distributions, of this environment or, with ``--root``, of an image's unpacked file system,
whose Debian packages are told too. Times come from ``SOURCE_DATE_EPOCH`` where it is set, so that a list can be
repeated.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IMAGES = {
    "anamnesis-operator": "anamnesis[operator,pipelines]",
    "anamnesis-training": "anamnesis[learn,operator,pipelines]",
}
"""Image -> what is installed in it."""
PACKAGES = "opt/anamnesis/lib/python3.*/site-packages"
"""Where, in an image."""
_LIBRARY = ComponentType.LIBRARY
Found = Mapping[str, tuple[Distribution, frozenset[str]]]
"""Name of a distribution -> itself, and the names of those that it needs."""


def needed(root: str, installed: Iterable[Distribution]) -> Found:
    """Returns what a requirement needs, directly or not.

    Raises:
        LookupError: something needed is not installed.
    """
    by_name = {canonicalize_name(one.name): one for one in installed}
    found: dict[str, tuple[Distribution, frozenset[str]]] = {}
    extras: dict[str, set[str]] = {}
    waiting = [Requirement(root)]
    while waiting:
        wish = waiting.pop()
        name = canonicalize_name(wish.name)
        if name not in by_name:
            raise LookupError(f"{root}: {name} is not installed; run `make setup`")
        if name in found and wish.extras <= extras[name]:
            continue
        extras.setdefault(name, set()).update(wish.extras)
        wishes = [one for one in map(Requirement, by_name[name].requires or ()) if _applies(one, extras[name])]
        found[name] = (by_name[name], frozenset(canonicalize_name(one.name) for one in wishes) - {name})
        waiting += wishes
    return found


def _applies(wish: Requirement, extras: Iterable[str]) -> bool:
    return wish.marker is None or any(wish.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def bill(image: str, found: Found, debian: Sequence[tuple[str, str]], time: datetime) -> str:
    """Returns the CycloneDX document of an image, as JSON.

    Args:
        image: its name.
        found: the Python distributions in it.
        debian: its Debian packages, each name and version.
        time: of its making.
    """
    version = found["anamnesis"][0].version
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{image}:{version}:{time.isoformat()}"))
    bom.metadata.timestamp = time
    top = Component(name=image, version=version, type=ComponentType.CONTAINER, bom_ref=image)
    bom.metadata.component = top
    components = {name: _python(one) for name, (one, _) in found.items()}
    packages = [_debian(*one) for one in debian]
    bom.components.update(components.values(), packages)
    for name, (_, wishes) in found.items():
        bom.register_dependency(components[name], [components[wish] for wish in wishes])
    bom.register_dependency(top, [components["anamnesis"], *packages])
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _python(one: Distribution) -> Component:
    purl = PackageURL("pypi", name=canonicalize_name(one.name), version=one.version)
    return Component(
        name=one.name, version=one.version, purl=purl, bom_ref=str(purl), licenses=_licences(one), type=_LIBRARY
    )


def _licences(one: Distribution) -> list[License]:
    told = one.metadata.json
    field = str(told.get("license", "")).strip()
    classified = [text.rpartition(" :: ")[2] for text in told.get("classifier", ()) if text.startswith("License :: ")]
    short = "" if "\n" in field else field
    text = next((str(text) for text in (told.get("license_expression"), short, *classified) if text), "")
    return [LicenseFactory().make_from_string(text)] if text else []


def _debian(name: str, version: str) -> Component:
    purl = PackageURL("deb", "debian", name, version)
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl), type=_LIBRARY)


def debian_packages(root: Path) -> list[tuple[str, str]]:
    """Returns name and version of each Debian package installed in a file system."""
    status = root / "var/lib/dpkg/status"
    paragraphs = status.read_text(encoding="utf-8").split("\n\n") if status.exists() else []
    parsed = [HeaderParser().parsestr(text) for text in paragraphs if text.strip()]
    return sorted((one["Package"], one["Version"]) for one in parsed if one["Status"].endswith(" installed"))


def write(image: str, folder: Path, root: Path | None, time: datetime) -> Path:
    """Writes the document of an image into a folder and returns the file.

    Args:
        image: a key of ``IMAGES``.
        folder: made where it is missing.
        root: the image's unpacked file system; none: this environment stands for it.
        time: of its making.
    """
    installed = distributions(path=[str(folder) for folder in root.glob(PACKAGES)]) if root else distributions()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{image}.cdx.json"
    text = bill(image, needed(IMAGES[image], installed), debian_packages(root) if root else [], time)
    file.write_text(text, encoding="utf-8")
    return file


def source_time() -> datetime:
    """Returns the time that ``SOURCE_DATE_EPOCH`` names, else now."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes what the images are made of, as CycloneDX.")
    parser.add_argument("folder", type=Path, help="where the documents are written")
    parser.add_argument("--image", choices=IMAGES, help="this one only")
    parser.add_argument("--root", type=Path, help="the image's unpacked file system; needs --image")
    options = parser.parse_args(arguments)
    if options.root and not options.image:
        parser.error("--root: say with --image which image it is")
    for image in [options.image] if options.image else IMAGES:
        print(write(image, options.folder, options.root, source_time()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
