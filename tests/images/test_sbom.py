import json
from datetime import UTC, datetime
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from delivery import sbom

TIME = datetime(2026, 11, 20, tzinfo=UTC)


def components(image: str, folder: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(sbom.write_sbom(image, folder, None, TIME).read_text())["components"]
    return listed


@pytest.mark.parametrize("image", sbom.IMAGES)
def test_it_is_what_cyclonedx_says_and_can_be_repeated(image: str, tmp_path: Path) -> None:
    text = sbom.write_sbom(image, tmp_path / "one", None, TIME).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"library"', '"books"')) is not None
    assert sbom.write_sbom(image, tmp_path / "two", None, TIME).read_text() == text


def test_each_image_lists_what_it_needs_and_no_more(tmp_path: Path) -> None:
    names = {image: {component["name"].lower() for component in components(image, tmp_path)} for image in sbom.IMAGES}
    assert {"kfp", "kubernetes", "anamnesis"} <= names["anamnesis-operator"]
    assert not {"torch", "numpy", "monai", "pytest", "cyclonedx-python-lib"} & names["anamnesis-operator"]
    assert {"torch", "monai", "kfp", "kubernetes", "anamnesis"} <= names["anamnesis-training"]
    assert not {"pytest", "helm-python-sdk"} & names["anamnesis-training"]


def test_versions_are_the_pinned_ones(tmp_path: Path) -> None:
    pins = (Path(sbom.__file__).parents[1] / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    for image in sbom.IMAGES:
        for component in components(image, tmp_path):
            if component["name"] != "anamnesis":
                assert f"{component['name']}=={component['version']}".lower().replace("_", "-") in pins


def test_most_licences_are_listed(tmp_path: Path) -> None:
    unlicensed = [
        component["name"] for component in components("anamnesis-training", tmp_path) if not component.get("licenses")
    ]
    assert len(unlicensed) <= 5, unlicensed


def test_what_is_needed_and_not_there_is_an_error() -> None:
    installed = [distribution for distribution in Distribution.discover() if distribution.name != "minio"]
    with pytest.raises(LookupError, match="minio is not installed"):
        sbom.resolve_requirement("anamnesis[operator]", installed)


def test_debian_packages_are_read(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    stanza = "Package: {}\nStatus: {}\nVersion: {}\nDescription: x\n y: z\n"
    installed = stanza.format("libc6", "install ok installed", "2.36-9")
    status.write_text(installed + "\n" + stanza.format("old", "deinstall ok config-files", "1"))
    assert sbom.debian_packages(tmp_path) == [("libc6", "2.36-9")]
    assert sbom.debian_packages(tmp_path / "nowhere") == []
