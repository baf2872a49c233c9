import contextlib
import zipfile

import numpy as np
import pytest

from anamnesis.imaging import PixelSource, ReadError, ReadErrorReason, iter_rows, load_image, read_headers

GREY = np.arange(5 * 4 * 6, dtype=np.uint8).reshape(5, 4, 6)


def _save(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def test_medmnist_layout(tmp_path):
    path = _save(
        tmp_path / "a.npz",
        train_images=GREY,
        train_labels=np.array([[0], [1], [0], [1], [0]]),
        val_images=GREY[:2],
        val_labels=np.array([[1], [1]]),
        test_images=GREY[:3],
        test_labels=np.array([[0], [1], [1]]),
    )
    headers = read_headers(path)
    assert [header.split for header in headers] == ["train"] * 5 + ["validation"] * 2 + ["test"] * 3
    assert [header.label for header in headers] == [0, 1, 0, 1, 0, 1, 1, 0, 1, 1]
    np.testing.assert_array_equal(load_image(PixelSource((path,), "val_images", 1)).pixels, GREY[1])


def test_named_classes_groups_split_and_masks(tmp_path):
    path = _save(
        tmp_path / "a.npz",
        images=GREY,
        labels=np.array([0, 1, -1, 1, 7]),
        class_names=np.array(["normal", "sick"]),
        groups=np.array(["p1", "p1", "p2", "p3", "p3"]),
        split=np.array([0, 0, 1, 0, 0], np.uint8),
        masks=GREY > 3,
    )
    headers = read_headers(path)
    assert [header.label for header in headers] == ["normal", "sick", None, "sick", "7"]
    assert [header.patient for header in headers] == ["p1", "p1", "p2", "p3", "p3"]
    assert [header.split for header in headers] == ["train", "train", "test", "train", "train"]
    assert load_image(PixelSource((path,), headers[3].mask, 3)).pixels.dtype == np.uint8


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 4, 6), "YX"),
        ((3, 4, 6, 1), "YX"),
        ((3, 1, 4, 6), "YX"),
        ((3, 4, 6, 3), "YXC"),
        ((3, 7, 6, 5), "ZYX"),
        ((3, 2, 6, 5, 1), "ZYX"),
    ],
)
def test_axes_follow_from_the_shape(tmp_path, shape, axes):
    images = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    path = _save(tmp_path / "a.npz", images=images)
    for row, image in enumerate(iter_rows(path, "images", [0, 1, 2])):
        assert image.axes == axes
        np.testing.assert_array_equal(image.pixels.ravel(), images[row].ravel())


@pytest.mark.parametrize("shape", [(3, 8, 8, 2), (3, 8, 8, 4), (3, 3, 8, 8), (3, 2, 8, 8), (3, 4, 8, 8), (8, 8, 3)])
def test_channels_that_are_not_grey_or_rgb_along_the_last_axis_are_refused(tmp_path, shape):
    path = _save(tmp_path / "a.npz", images=np.zeros(shape, np.uint8))
    with pytest.raises(ReadError) as caught:
        read_headers(path)
    assert caught.value.reason is ReadErrorReason.UNSUPPORTED_CHANNELS


@pytest.mark.parametrize("turn", [np.asfortranarray, lambda a: a.astype(">f8"), lambda a: a.astype(np.int64)])
def test_storage_order_and_type_do_not_matter(tmp_path, turn):
    path = _save(tmp_path / "a.npz", images=turn(GREY))
    arrays = [image.pixels for image in iter_rows(path, "images", [1, 4])]
    np.testing.assert_array_equal(arrays, GREY[[1, 4]])
    assert arrays[0].dtype.isnative


def test_one_image_with_nan_does_not_stop_the_others(tmp_path):
    images = np.zeros((3, 6, 6), np.float32)
    images[1] = np.nan
    kinds = [
        getattr(result, "reason", "")
        for result in iter_rows(_save(tmp_path / "a.npz", images=images), "images", [0, 1, 2])
    ]
    assert kinds == ["", ReadErrorReason.NOT_FINITE, ""]


def test_rows_stream_in_chunks(tmp_path, monkeypatch):
    from anamnesis.imaging import npz

    monkeypatch.setattr(npz, "_CHUNK", 50)
    images = list(iter_rows(_save(tmp_path / "a.npz", images=GREY), "images", [0, 3, 4]))
    np.testing.assert_array_equal([image.pixels for image in images], GREY[[0, 3, 4]])


def _objects(path):
    np.savez(path, images=np.array([GREY, {"a": 1}], dtype=object))


def _other_layout(path):
    np.savez(path, volumes=GREY)


def _patients_under_another_name(path):
    np.savez(path, images=GREY, patient_ids=np.arange(5))


def _multi_label(path):
    np.savez(path, images=GREY, labels=np.zeros((5, 14), int))


def _too_few_labels(path):
    np.savez(path, images=GREY, labels=np.zeros(4, int))


def _flipped_byte(path):
    np.savez(path, images=GREY)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path):
    np.savez(path, images=GREY)
    path.write_bytes(path.read_bytes()[:-30])


def _flipped_label(path):
    """The bytes after the array's own are part of the checksum."""
    labels = np.arange(5)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array, tail in (("images", GREY, b""), ("labels", labels, b"tail")):
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array)
                stream.write(tail)


def _twice(path):
    np.savez(path, images=GREY)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("images.npy")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("images.npy", content)


def _announces_terabytes(path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 9000000, 9000000), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (_objects, ReadErrorReason.UNEXPECTED_LAYOUT),
        (_other_layout, ReadErrorReason.UNEXPECTED_LAYOUT),
        (_patients_under_another_name, ReadErrorReason.UNEXPECTED_LAYOUT),
        (_multi_label, ReadErrorReason.UNEXPECTED_LAYOUT),
        (_too_few_labels, ReadErrorReason.UNEXPECTED_LAYOUT),
        (_flipped_byte, ReadErrorReason.UNREADABLE),
        (_flipped_label, ReadErrorReason.UNEXPECTED_LAYOUT),
        (_twice, ReadErrorReason.UNEXPECTED_LAYOUT),
        (_cut, ReadErrorReason.UNREADABLE),
        (_announces_terabytes, ReadErrorReason.TOO_LARGE),
    ],
)
def test_broken_files_are_found_before_any_image_is_used(tmp_path, write, reason):
    write(tmp_path / "a.npz")
    with pytest.raises(ReadError) as caught:
        read_headers(tmp_path / "a.npz")
    assert caught.value.reason is reason


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_never_changes_what_is_read(tmp_path, save):
    def read(path):
        headers = read_headers(path)
        images = iter_rows(path, "images", range(len(headers)))
        return [(h.label, h.patient, h.split, h.mask) for h in headers], np.stack([i.pixels for i in images]).tolist()

    save(
        tmp_path / "a.npz",
        images=GREY,
        labels=np.array([0, 1, 0, 1, 0], np.int8),
        groups=np.array([1, 1, 2, 3, 3], np.int8),
        split=np.array([0, 0, 1, 0, 0], np.int8),
        masks=(GREY > 3).astype(np.uint8),
    )
    data, expected = (tmp_path / "a.npz").read_bytes(), read(tmp_path / "a.npz")
    for position in range(0, len(data), 2):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position // 2 % 8
        (tmp_path / "b.npz").write_bytes(damaged)
        with contextlib.suppress(ReadError):
            assert read(tmp_path / "b.npz") == expected
