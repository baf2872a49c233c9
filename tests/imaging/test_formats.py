import contextlib
import os
import subprocess
import sys
import warnings

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anamnesis.imaging import (
    Format,
    PixelSource,
    ReadError,
    ReadErrorReason,
    detect_format,
    is_image_file,
    load_image,
    read_headers,
)

PIXELS = np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8)


@pytest.fixture
def samples(tmp_path, write_dicom):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    nibabel.save(nibabel.Nifti1Image(PIXELS, np.eye(4)), tmp_path / "a.nii")
    nibabel.save(nibabel.Nifti1Image(PIXELS, np.eye(4)), tmp_path / "a.nii.gz")
    np.savez_compressed(tmp_path / "a.npz", images=PIXELS[None], labels=np.zeros(1, int), groups=np.array(["x"]))
    paths = {Format.DICOM: write_dicom("a", PIXELS, PatientName="Rossi^Maria")}
    paths |= {Format.PNG: tmp_path / "a.png", Format.JPEG: tmp_path / "a.jpg", Format.NPZ: tmp_path / "a.npz"}
    return [*paths.items(), (Format.NIFTI, tmp_path / "a.nii"), (Format.NIFTI, tmp_path / "a.nii.gz")]


def test_formats_are_detected_by_content(samples, tmp_path):
    for expected, path in samples:
        (tmp_path / "renamed.xyz").write_bytes(path.read_bytes())
        assert detect_format(tmp_path / "renamed.xyz") is expected


@pytest.mark.parametrize(
    ("key", "image"),
    [
        ("SOURCE.md", False), ("a/labels.csv", False), ("LICENSE", False), ("LICENCE.rst", False), ("Thumbs.db", False),
        ("DICOMDIR", False), (".hidden", False), (".git/config.png", False), ("__MACOSX/a.png", False),
        ("a.png", True), ("a/b", True), ("study.dcm", True), ("data.zip", True),
    ],
)  # fmt: skip
def test_documents_next_to_images_are_skipped(tmp_path, key, image):
    path = tmp_path / "file"
    path.write_text("no image")
    assert is_image_file(key, path) is image


def test_an_image_with_the_suffix_of_a_paper_is_an_image(samples, tmp_path):
    assert is_image_file("slice.txt", samples[0][1])


def test_a_path_that_is_not_a_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    for path in (tmp_path / "pipe", tmp_path / "missing", tmp_path):
        with pytest.raises(ReadError) as caught:
            detect_format(path)
        assert caught.value.reason is ReadErrorReason.NOT_A_FILE


def test_empty_and_foreign_files_have_their_reasons(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("a text")
    for name, reason in (("empty.png", ReadErrorReason.EMPTY_FILE), ("text.png", ReadErrorReason.UNKNOWN_FORMAT)):
        with pytest.raises(ReadError) as caught:
            read_headers(tmp_path / name)
        assert caught.value.reason is reason


@pytest.mark.parametrize("start", [b"\x08\0\x05\0CS\x0a\0", b"\x08\0\0\0\x04\0\0\0", b"\x02\0\0\0UL\x04\0"])
def test_a_data_set_without_the_header_of_a_file_has_its_reason(tmp_path, start):
    (tmp_path / "a").write_bytes(start + bytes(200))
    with pytest.raises(ReadError) as caught:
        read_headers(tmp_path / "a")
    assert caught.value.reason is ReadErrorReason.NO_FILE_HEADER


def test_a_damaged_gzip_header_is_damage_and_not_a_foreign_format(samples, tmp_path):
    damaged = bytearray(samples[-1][1].read_bytes())
    damaged[2] = 99
    (tmp_path / "a.nii.gz").write_bytes(damaged)
    with pytest.raises(ReadError) as caught:
        read_headers(tmp_path / "a.nii.gz")
    assert caught.value.reason is ReadErrorReason.UNREADABLE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_never_raises_anything_but_read_errors(samples, tmp_path, caplog, capfd, data):
    _, path = data.draw(st.sampled_from(samples))
    damaged = bytearray(path.read_bytes())
    for index in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=8)):
        damaged[index] = data.draw(st.integers(0, 255))
    target = tmp_path / "damaged"
    target.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the warnings of readers quote the header
        with contextlib.suppress(ReadError):
            for header in read_headers(target):
                image = load_image(PixelSource((target,), header.member, header.row))
                assert image.pixels.flags.c_contiguous
                assert image.pixels.dtype.name in ("uint8", "int16", "uint16", "int32", "float32")
    assert not caplog.records  # readers quote the header in their logs as well
    assert capfd.readouterr() == ("", "")


def test_importing_brings_no_reader():
    code = "import sys, anamnesis.snapshots; print(sorted({'pydicom', 'nibabel', 'PIL'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
