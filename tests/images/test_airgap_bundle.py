"""The bundle for a site without a network: whole, checked, and pushed by its own scripts."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from conftest import missing
from images.registry import Registry, image_archive

from charts.golden import CHART, profiles, render_templates
from delivery import airgap_bundle, image_references

SKOPEO = """#!/bin/sh
echo "$@" >>"$RECORD"
while [ $# -gt 2 ]; do
    if [ "$1" = --digestfile ]; then printf 'sha256:%064d' "$(wc -l <"$RECORD")" >"$2"; shift; fi
    shift
done
case $2 in docker-archive:*) archive=${2#docker-archive:}; echo image >"${archive%%.tar*}.tar" ;; esac
"""
RUN = {"check": False, "capture_output": True, "text": True}


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airgap") / "one"
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1763600000")
    airgap_bundle.write_bundle(folder, None)
    return folder


@pytest.fixture
def bundle_copy(bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))


@pytest.fixture
def recording_environment(tmp_path: Path) -> Mapping[str, str]:
    """An environment whose skopeo only writes down what it was asked."""
    program = tmp_path / "bin" / "skopeo"
    program.parent.mkdir()
    program.write_text(SKOPEO)
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/bin:/bin", "RECORD": str(tmp_path / "record")}


def call(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, **RUN)  # type: ignore[call-overload,no-any-return]


def installed_texts() -> Iterator[str]:
    """All that is installed or run: the chart with each profile, and the pipelines, as text."""
    for values in profiles().values():
        yield from render_templates(values).values()
    for file in image_references.ROOT.glob("pipelines/**/compiled/*.yaml"):
        yield file.read_text()


def test_no_image_is_missing(bundle_folder: Path) -> None:
    listed = (bundle_folder / "images.txt").read_text().split()
    image_names = {
        match for text in installed_texts() for match in re.findall(r"(?<!/)image['\"]?: *['\"]?([^\s'\"]+)", text)
    }
    assert {name.partition("@")[0].removeprefix("registry.hospital.example/") for name in image_names} == set(listed)
    assert {"anamnesis-operator:0.1.0", "anamnesis-training:0.1.0"} <= set(listed)


def test_an_image_is_found_wherever_it_is_named() -> None:
    nested = yaml.safe_dump({"data": {"pods.yaml": "image: a/b:1\nother: [{image: c:2}]"}, "image": "d:3"})
    assert set(image_references.find_images(nested)) == {"a/b:1", "c:2", "d:3"}
    assert list(image_references.find_images("image: {name: x}")) == []
    assert list(image_references.find_images("no: yaml: {")) == []


def test_the_package_is_the_chart(bundle_folder: Path) -> None:
    (package,) = (bundle_folder / "chart").iterdir()
    with helm_python.Chart.load(package) as packed, helm_python.Chart.load(CHART) as chart:
        assert packed.render({}, name="a", namespace="b") == chart.render({}, name="a", namespace="b")


def test_it_can_be_repeated_bit_for_bit(bundle_folder: Path, tmp_path: Path) -> None:
    airgap_bundle.write_bundle(tmp_path / "two", None)
    assert (tmp_path / "two" / "SHA256SUMS").read_text() == (bundle_folder / "SHA256SUMS").read_text()
    with pytest.raises(FileExistsError, match="not empty"):
        airgap_bundle.write_bundle(tmp_path / "two", None)


def test_every_file_has_its_checksum(bundle_copy: Path) -> None:
    assert call(bundle_copy, "sha256sum", "--check", "--strict", "SHA256SUMS").returncode == 0
    files = [path for path in bundle_copy.rglob("*") if path.is_file()]
    assert len((bundle_copy / "SHA256SUMS").read_text().splitlines()) == len(files) - 1


@pytest.mark.parametrize("name", ["save.sh", "push.sh"])
def test_scripts_are_sound(bundle_folder: Path, name: str) -> None:
    assert call(bundle_folder, "bash", "-n", name).returncode == 0
    assert call(bundle_folder, f"./{name}").returncode == 2, "says how it is called"
    if not shutil.which("shellcheck"):
        missing("no shellcheck: install it")
    result = call(bundle_folder, "shellcheck", name)
    assert result.returncode == 0, result.stdout


def test_images_come_across_and_the_chart_takes_them(
    bundle_copy: Path, recording_environment: Mapping[str, str]
) -> None:
    saved = call(bundle_copy, "./save.sh", "docker://build.example/", **recording_environment)
    assert saved.returncode == 0, saved.stderr
    pushed = call(bundle_copy, "./push.sh", "registry.hospital.example/tools/", **recording_environment)
    assert pushed.returncode == 0, pushed.stderr
    skopeo_calls = Path(recording_environment["RECORD"]).read_text().splitlines()
    for image in (bundle_copy / "images.txt").read_text().split():
        assert any(f"docker://build.example/{image} docker-archive:images/" in line for line in skopeo_calls)
        assert any(line.endswith(f"docker://registry.hospital.example/tools/{image}") for line in skopeo_calls)
    values = yaml.safe_load(pushed.stdout)
    image_names = set(
        re.findall(r"image: (\S+)", "\n".join(render_templates({**profiles()["single-node"], **values}).values()))
    )
    assert len(image_names) >= 2
    assert all(re.fullmatch(r"registry\.hospital\.example/tools/\S+:\S+@sha256:\d{64}", name) for name in image_names)


def test_a_changed_bundle_is_not_pushed(bundle_copy: Path, recording_environment: Mapping[str, str]) -> None:
    call(bundle_copy, "./save.sh", "docker://build.example/", **recording_environment)
    (bundle_copy / "images" / "anamnesis-operator_0.1.0.tar").write_text("another image")
    pushed = call(bundle_copy, "./push.sh", "registry.hospital.example", **recording_environment)
    assert pushed.returncode != 0
    assert "anamnesis-operator_0.1.0.tar" in pushed.stderr
    assert "docker://registry.hospital.example" not in Path(recording_environment["RECORD"]).read_text()
    assert not pushed.stdout


def test_missing_images_are_reported(bundle_copy: Path, recording_environment: Mapping[str, str]) -> None:
    nothing = call(bundle_copy, "./push.sh", "registry.hospital.example", **recording_environment)
    assert nothing.returncode == 1
    assert "save.sh" in nothing.stderr
    call(bundle_copy, "./save.sh", "docker://build.example/", "anamnesis-operator:0.1.0", **recording_environment)
    pushed = call(bundle_copy, "./push.sh", "registry.hospital.example", **recording_environment)
    assert pushed.returncode == 0
    assert set(yaml.safe_load(pushed.stdout)["images"]) == {"operator"}
    assert "anamnesis-training:0.1.0: not in images/" in pushed.stderr
    assert (
        "not in images.txt"
        in call(bundle_copy, "./save.sh", "docker://build.example/", "other:1", **recording_environment).stderr
    )


def test_archives_that_were_built_go_along(tmp_path: Path) -> None:
    built = tmp_path / "built"
    built.mkdir()
    for image in ("anamnesis-operator", "anamnesis-training"):
        (built / f"{image}.tar").write_text(image)
        (built / f"{image}.cdx.json").write_text("{}")
    airgap_bundle.write_bundle(tmp_path / "bundle", built)
    assert (tmp_path / "bundle" / "images" / "anamnesis-operator_0.1.0.tar").read_text() == "anamnesis-operator"
    assert "images/anamnesis-training_0.1.0.tar" in (tmp_path / "bundle" / "SHA256SUMS").read_text()


def test_a_real_registry_has_what_the_values_name(bundle_copy: Path, tmp_path: Path) -> None:
    absent = [name for name in ("skopeo", "docker-registry") if not shutil.which(name)]
    if absent:
        missing(f"{' and '.join(absent)} not installed")
    (bundle_copy / "images").mkdir()
    image_archive(bundle_copy / "images" / "anamnesis-operator_0.1.0.tar", "anamnesis-operator:0.1.0")
    (bundle_copy / "SHA256SUMS").write_text(airgap_bundle.checksums(bundle_copy))
    with Registry(tmp_path / "registry") as registry:
        pushed = call(bundle_copy, "./push.sh", f"{registry.address}/tools", **registry.environment)
        assert pushed.returncode == 0, pushed.stderr
        operator: dict[str, Any] = yaml.safe_load(pushed.stdout)["images"]["operator"]
        by_digest = f"docker://{registry.address}/tools/{operator['repository']}@{operator['digest']}"
        inspection = call(bundle_copy, "skopeo", "inspect", "--tls-verify=false", by_digest)
    assert json.loads(inspection.stdout)["Digest"] == operator["digest"]
