"""Writes the software bill of materials of our images, as CycloneDX: ``python -m delivery.sbom FOLDER``.

It lists the installed distributions of this environment or, with ``--root``, the distributions and Debian packages of
the unpacked file system of an image. Times come from ``SOURCE_DATE_EPOCH`` when it is set, so that the output can be
reproduced.
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
    "anamnesis-training": "anamnesis[pretrained,operator,pipelines]",
}
"""Image -> the requirement installed in it."""
SITE_PACKAGES = "opt/anamnesis/lib/python3.*/site-packages"
"""Path in an image."""
_LIBRARY = ComponentType.LIBRARY
DistributionGraph = Mapping[str, tuple[Distribution, frozenset[str]]]
"""Name of a distribution -> the distribution and the names of its dependencies."""


def resolve_requirement(root: str, installed: Iterable[Distribution]) -> DistributionGraph:
    """Returns a requirement with all its direct and indirect dependencies.

    Raises:
        LookupError: a dependency is not installed.
    """
    by_name = {canonicalize_name(distribution.name): distribution for distribution in installed}
    graph: dict[str, tuple[Distribution, frozenset[str]]] = {}
    extras: dict[str, set[str]] = {}
    queue = [Requirement(root)]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name not in by_name:
            raise LookupError(f"{root}: {name} is not installed; run `make setup`")
        if name in graph and requirement.extras <= extras[name]:
            continue
        extras.setdefault(name, set()).update(requirement.extras)
        dependencies = [
            dependency
            for dependency in map(Requirement, by_name[name].requires or ())
            if _applies(dependency, extras[name])
        ]
        graph[name] = (
            by_name[name],
            frozenset(canonicalize_name(dependency.name) for dependency in dependencies) - {name},
        )
        queue += dependencies
    return graph


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def render_sbom(image: str, graph: DistributionGraph, debian: Sequence[tuple[str, str]], time: datetime) -> str:
    """Returns the CycloneDX document of an image, as JSON.

    Args:
        image: name of the image.
        graph: the Python distributions in it.
        debian: name and version of each Debian package in it.
        time: time of its build.
    """
    version = graph["anamnesis"][0].version
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{image}:{version}:{time.isoformat()}"))
    bom.metadata.timestamp = time
    image_component = Component(name=image, version=version, type=ComponentType.CONTAINER, bom_ref=image)
    bom.metadata.component = image_component
    components = {name: _python_component(distribution) for name, (distribution, _) in graph.items()}
    packages = [_debian_component(*package) for package in debian]
    bom.components.update(components.values(), packages)
    for name, (_, dependencies) in graph.items():
        bom.register_dependency(components[name], [components[dependency] for dependency in dependencies])
    bom.register_dependency(image_component, [components["anamnesis"], *packages])
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _python_component(distribution: Distribution) -> Component:
    purl = PackageURL("pypi", name=canonicalize_name(distribution.name), version=distribution.version)
    return Component(
        name=distribution.name,
        version=distribution.version,
        purl=purl,
        bom_ref=str(purl),
        licenses=_licences(distribution),
        type=_LIBRARY,
    )


def _licences(distribution: Distribution) -> list[License]:
    metadata = distribution.metadata.json
    field = str(metadata.get("license", "")).strip()
    classifiers = [
        text.rpartition(" :: ")[2] for text in metadata.get("classifier", ()) if text.startswith("License :: ")
    ]
    short_licence = "" if "\n" in field else field
    text = next((str(text) for text in (metadata.get("license_expression"), short_licence, *classifiers) if text), "")
    return [LicenseFactory().make_from_string(text)] if text else []


def _debian_component(name: str, version: str) -> Component:
    purl = PackageURL("deb", "debian", name, version)
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl), type=_LIBRARY)


def debian_packages(root: Path) -> list[tuple[str, str]]:
    """Returns name and version of each installed Debian package in a file system."""
    status = root / "var/lib/dpkg/status"
    paragraphs = status.read_text(encoding="utf-8").split("\n\n") if status.exists() else []
    headers = [HeaderParser().parsestr(text) for text in paragraphs if text.strip()]
    return sorted(
        (header["Package"], header["Version"]) for header in headers if header["Status"].endswith(" installed")
    )


def write_sbom(image: str, folder: Path, root: Path | None, time: datetime) -> Path:
    """Writes the document of an image into a folder and returns the file.

    Args:
        image: a key of ``IMAGES``.
        folder: folder for the file; created when missing.
        root: unpacked file system of the image; none: use this environment.
        time: time of the build.
    """
    installed = distributions(path=[str(folder) for folder in root.glob(SITE_PACKAGES)]) if root else distributions()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{image}.cdx.json"
    text = render_sbom(
        image, resolve_requirement(IMAGES[image], installed), debian_packages(root) if root else [], time
    )
    file.write_text(text, encoding="utf-8")
    return file


def source_time() -> datetime:
    """Returns the time in ``SOURCE_DATE_EPOCH``, else the current time."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes software bills of materials of the images, as CycloneDX.")
    parser.add_argument("folder", type=Path, help="folder for the documents")
    parser.add_argument("--image", choices=IMAGES, help="only this image")
    parser.add_argument("--root", type=Path, help="unpacked file system of the image; needs --image")
    options = parser.parse_args(arguments)
    if options.root and not options.image:
        parser.error("--root: give the name of the image with --image")
    for image in [options.image] if options.image else IMAGES:
        print(write_sbom(image, options.folder, options.root, source_time()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
