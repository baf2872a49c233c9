"""``predict`` answers for images that training would take, says what it left out, and refuses everything else."""

import json
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import yaml
from PIL import Image

from anamnesis.local import prediction as prediction_module
from anamnesis.local import study_files
from anamnesis.records import HeldOutSet, OperatingPoint

Call = Callable[..., Any]
SECRET_NAME = "SCHMIDT_ANNA_19501224"


@pytest.fixture(scope="session")
def predicting_file(awaiting_folder: Path, tmp_path_factory: pytest.TempPathFactory, call: Call) -> Path:
    """The resource file of a copy whose candidate is used by its digest; only read it."""
    return awaiting_folder / "model.yaml"


@pytest.fixture
def images(awaiting_folder: Path) -> Sequence[Path]:
    return sorted((awaiting_folder / "data").rglob("IM*"))


def copy_image(source: Path, target: Path, **changes: str) -> Path:
    """Writes a copy of a DICOM file with other tags, as another instance."""
    dataset = pydicom.dcmread(source)
    for keyword, text in changes.items():
        setattr(dataset, keyword, text)
    target.parent.mkdir(parents=True, exist_ok=True)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    dataset.save_as(target)
    return target


def predict(call: Call, file: Path, *arguments: object) -> tuple[Any, list[dict[str, Any]]]:
    version = json.loads(call("registry", "list", "-f", file, "--json").out)[0]["version"]
    result = call("predict", "-f", file, "--version", version, "--json", *arguments)
    return result, json.loads(result.out) if result.out else []


def test_a_folder_gives_one_answer_for_each_study(
    call: Call, predicting_file: Path, images: Sequence[Path], tmp_path: Path
) -> None:
    for number, image in enumerate((*images[:4], *images[-2:])):  # two images of each patient
        copy_image(image, tmp_path / "studies" / f"{number % 2}" / f"{SECRET_NAME}_{number}.dcm")
    before = sorted(predicting_file.parent.rglob("*"))
    result, predictions = predict(call, predicting_file, tmp_path / "studies")
    assert result.code == 0
    assert sorted(predicting_file.parent.rglob("*")) == before, "nothing of a study is stored"
    assert [(prediction["study"], prediction["images"]) for prediction in predictions] == [(1, 2), (2, 2), (3, 2)]
    assert [prediction["files"] for prediction in predictions] == [[1, 4], [2, 5], [3, 6]], "in the order of names"
    for prediction in predictions:
        assert set(prediction["probabilities"]) == {"phantom/normal", "phantom/opacity"}
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert prediction["left_out"] == {}
    assert SECRET_NAME not in result.out + result.err
    both, answers = predict(call, predicting_file, images[0], tmp_path / "studies")
    assert [(answer["path"], answer["study"]) for answer in answers] == [
        (str(images[0]), 1),
        *((str(tmp_path / "studies"), number) for number in (1, 2, 3)),
    ]
    assert both.code == 0


@pytest.mark.parametrize("modality", ["PT", "MR", "CT"])
def test_another_modality_is_refused(
    call: Call, predicting_file: Path, images: Sequence[Path], tmp_path: Path, modality: str
) -> None:
    path = copy_image(images[0], tmp_path / f"{SECRET_NAME}.dcm", Modality=modality)
    folder = path.parent
    result, predictions = predict(call, predicting_file, folder)
    assert result.code == 2
    assert f"no prediction for '{folder}'" in result.err
    assert SECRET_NAME not in result.out + result.err
    assert [(answer["images"], answer["probabilities"]) for answer in predictions] == [(0, {})]
    assert list(predictions[0]["left_out"].values()) == [1]


def test_other_objects_of_a_study_are_left_out_and_counted(
    call: Call, predicting_file: Path, images: Sequence[Path], tmp_path: Path
) -> None:
    copy_image(images[0], tmp_path / "study" / "a.dcm")
    series = pydicom.uid.generate_uid()
    copy_image(images[0], tmp_path / "study" / "b.dcm", Modality="PT", SeriesInstanceUID=series)
    (tmp_path / "study" / "broken.dcm").write_bytes(images[0].read_bytes()[:700])
    (tmp_path / "study" / "README.txt").write_text("not an image")
    result, predictions = predict(call, predicting_file, tmp_path / "study")
    assert result.code == 0
    assert [(answer["images"], bool(answer["probabilities"])) for answer in predictions] == [(1, True), (0, False)]
    assert predictions[0]["left_out"] == {"the modality is not one of the site's modalities": 1}
    text = call("predict", "-f", predicting_file, "--version", predictions[0]["version"], tmp_path / "study").out
    assert "study 1 (files 2-3): 1 images read; left out: 1 x the modality is not one of the site's modalities" in text


def test_a_site_with_body_parts_takes_no_other(
    call: Call, model_file: Path, images: Sequence[Path], tmp_path: Path
) -> None:
    site, model = yaml.safe_load_all(model_file.read_text())
    site["spec"]["bodyParts"] = ["CHEST"]
    model_file.write_text(yaml.safe_dump_all([site, model]))
    chest = copy_image(images[0], tmp_path / "chest.dcm", BodyPartExamined="CHEST")
    foot = copy_image(images[0], tmp_path / "foot.dcm", BodyPartExamined="FOOT")
    assert predict(call, model_file, chest)[0].code == 0
    for path in (foot, images[0]):
        result, predictions = predict(call, model_file, path)
        assert (result.code, predictions[0]["images"]) == (2, 0)
        assert list(predictions[0]["left_out"]) == ["the body part is missing, or not one of the site's body parts"]


def test_a_picture_without_a_modality_is_one_study(call: Call, predicting_file: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pixels = np.random.default_rng(ord(name)).integers(0, 255, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    result, predictions = predict(call, predicting_file, tmp_path)
    assert (result.code, [answer["images"] for answer in predictions]) == (3, [1, 1]), "noise is unlike the site"


def test_the_operating_point_of_the_site_decides(
    call: Call, predicting_file: Path, images: Sequence[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluations of the version give threshold, temperature and limit; without them the answer says so."""
    _, (plain,) = predict(call, predicting_file, images[0])
    assert (plain["answered_by"], plain["site"], plain["is_calibrated"]) == ("all_classes", "xray", False)
    assert (plain["abstained_images"], plain["threshold"]) == (0, None)
    point = OperatingPoint("xray", "phantom", HeldOutSet.CALIBRATION, 30, 30, Decimal("2"))
    points: dict[str, OperatingPoint] = {}
    monkeypatch.setattr(prediction_module, "find_operating_points", lambda *_: points)
    for threshold, label in (("0.000001", "phantom/opacity"), ("0.999999", "phantom/normal")):
        points["xray"] = replace(point, threshold=Decimal(threshold), distance_limit=Decimal(1000))
        result, (answer,) = predict(call, predicting_file, "--site", "xray", images[0])
        assert (result.code, answer["answer"], answer["threshold"]) == (0, label, threshold)
        assert (answer["answered_by"], answer["is_calibrated"], answer["abstained_images"]) == ("site", True, 0)
    odds, plain_odds = (
        math.log(prediction["probabilities"]["phantom/opacity"] / prediction["probabilities"]["phantom/normal"])
        for prediction in (answer, plain)
    )
    assert odds == pytest.approx(plain_odds / 2, rel=1e-3), "the temperature is 2"
    points["xray"] = replace(point, distance_limit=Decimal("0.01"))
    result, (abstained,) = predict(call, predicting_file, images[0])
    assert (result.code, abstained["is_abstained"], abstained["abstained_images"]) == (3, True, 1)
    assert (abstained["answer"], abstained["probabilities"]) == ("", {})
    assert f"no answer for '{images[0]}': the images there are unlike those" in result.err
    text = call("predict", "-f", predicting_file, "--version", abstained["version"], images[0]).out
    assert "no answer: 1 of 1 images are farther from site 'xray' than its limit (the site is not known" in text


def test_a_model_that_requires_the_site_refuses_without(call: Call, model_file: Path, images: Sequence[Path]) -> None:
    site, model = yaml.safe_load_all(model_file.read_text())
    model["spec"]["answers"] = {"siteRequired": True}
    model_file.write_text(yaml.safe_dump_all([site, model]))
    result, _ = predict(call, model_file, images[0])
    assert (result.code, "spec.answers.siteRequired" in result.err) == (3, True)
    assert predict(call, model_file, "--task", "phantom", images[0])[0].code == 0


def test_a_zip_file_is_a_folder(call: Call, predicting_file: Path, images: Sequence[Path], tmp_path: Path) -> None:
    archive = tmp_path / "studies.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for number, image in enumerate(images[:4]):
            file.writestr(f"../../{SECRET_NAME}/{number}.dcm", image.read_bytes())
        file.writestr("/etc/anamnesis-was-here", b"x")
    folder_result = predict(call, predicting_file, *images[:4])[1]
    result, predictions = predict(call, predicting_file, archive)
    assert result.code == 0
    assert SECRET_NAME not in result.out + result.err
    assert [answer["images"] for answer in predictions][:2] == [2, 2]
    label = next(iter(predictions[0]["probabilities"]))
    expected = (folder_result[0]["probabilities"][label] + folder_result[1]["probabilities"][label]) / 2
    assert predictions[0]["probabilities"][label] == pytest.approx(expected, abs=1e-5)
    assert not Path("/etc/anamnesis-was-here").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["studies.zip"]


def test_a_zip_file_that_would_fill_the_disk_is_refused(
    call: Call, predicting_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_files, "_FREE_BYTES", 1 << 16)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.dcm", bytes(1 << 24))
    result, _ = predict(call, predicting_file, bomb)
    assert (result.code, "too large when unpacked" in result.err) == (2, True)
    declared = bytearray(bomb.read_bytes())  # the central directory says one byte
    place = declared.rindex(b"PK\x01\x02")
    declared[place + 24 : place + 28] = (1).to_bytes(4, "little")
    bomb.write_bytes(declared)
    result, _ = predict(call, predicting_file, bomb)
    assert result.code == 2
    broken = tmp_path / "broken.zip"
    broken.write_bytes(bytes(declared[: len(declared) // 2]))
    assert predict(call, predicting_file, broken)[0].code == 2


def test_what_does_not_exist_is_named(call: Call, predicting_file: Path, images: Sequence[Path]) -> None:
    result, _ = predict(call, predicting_file, "nosuch.dcm")
    assert (result.code, "'nosuch.dcm': there is no such file or folder" in result.err) == (2, True)
    result = call("predict", "-f", predicting_file, images[0])
    assert (result.code, "there is no champion" in result.err) == (2, True)
    result = call("predict", "-f", predicting_file, "--version", "sha256:0000", images[0])
    assert (result.code, "version 'sha256:0000': no version in" in result.err) == (2, True)
    result, _ = predict(call, predicting_file, "--task", "lungs", images[0])
    assert (result.code, "--task: expected one of phantom" in result.err) == (2, True)
