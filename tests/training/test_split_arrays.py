"""Splits as memory-mapped arrays: what the network reads, who may share it, and that workers change no bit."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.sample_store import SampleStore

from anamnesis.records import InputError, IntegrityError, NetworkSettings, Task, TaskType
from anamnesis.snapshots.withdrawals import Withdrawal
from anamnesis.storage.scratch import Scratch
from anamnesis.training import SplitFormat, TensorSplit, open_split_arrays, samples_to_tensors
from anamnesis.training.input_checks import describe_unread_parts
from anamnesis.training.split_arrays import layout, opening, writing
from anamnesis.training.split_arrays import rows as rows_module
from anamnesis.training.split_arrays.mapped_file import announce_rows, map_file
from anamnesis.training.split_arrays.rows import JoinedRows, MappedImages, SelectedRows, batches_of

TASK = Task("first", TaskType.CLASSIFICATION, ("a", "b"))
MASKS = Task("organ", TaskType.SEGMENTATION, ("background", "organ"), "Dice")
FORMAT = SplitFormat(TASK, ("DX",), ("other/x", *TASK.labels), NetworkSettings(size=(8, 8)))
GENERATOR = np.random.default_rng(0)


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "scratch", 1 << 30)


@pytest.fixture
def stored(tmp_path: Path) -> SampleStore:
    return SampleStore(tmp_path / "store")


def bytes_images(count: int, side: int = 12) -> list[np.ndarray]:
    return [GENERATOR.integers(0, 256, (side + row % 3, side), dtype=np.uint8) for row in range(count)]


def in_memory(stored: SampleStore, split_format: SplitFormat = FORMAT) -> TensorSplit:
    return samples_to_tensors(
        stored.open(),
        split_format.task,
        modalities=split_format.modalities,
        labels=split_format.labels,
        spec=split_format.spec,
    )


@pytest.mark.parametrize(("dtype", "step"), [(np.uint8, 255), (np.uint16, 65535), (np.int16, 65535)])
def test_the_arrays_have_the_images_to_half_a_step(
    stored: SampleStore, scratch: Scratch, dtype: type, step: int
) -> None:
    stored.add([GENERATOR.integers(0, 200, (16, 9)).astype(dtype) for _ in range(5)])
    split, expected = open_split_arrays(stored.open(), FORMAT, scratch), in_memory(stored)
    assert isinstance(split.images, MappedImages)
    assert split.images.values.dtype == (np.uint8 if step == 255 else np.uint16)
    assert split.images.shape == (5, 1, 8, 8)
    assert (split.images[:] - expected.images[:]).abs().max() <= 0.5001 / step
    assert split.classes.tolist() == expected.classes.tolist() == [1, 2, 1, 2, 1]
    assert split.sample_ids == expected.sample_ids


def test_colour_and_slices_that_the_network_does_not_read_are_told(stored: SampleStore) -> None:
    stored.add(bytes_images(3))
    grey, *grey_records = stored.records
    image = grey.images["DX"]
    colour = replace(grey, images={"DX": replace(image, shape=(*image.shape, 3), axes="YXC")})
    volume = replace(grey, images={"DX": replace(image, shape=(9, *image.shape), axes="ZYX")})
    samples = [colour, volume, *grey_records]
    two_sides, three_sides = NetworkSettings(channels=1), NetworkSettings(channels=3, size=(8, 8, 8))
    without_colour, without_slices = describe_unread_parts(samples, "DX", two_sides)
    assert "1 of 4 images of modality 'DX' are read without their colour" in without_colour
    assert "only the middle slice of 1 of 4 images of modality 'DX' is read" in without_slices
    assert not [
        *describe_unread_parts(samples, "DX", three_sides),
        *describe_unread_parts(grey_records, "DX", two_sides),
    ]


def test_eight_bits_at_the_size_of_the_network_are_exact(stored: SampleStore, scratch: Scratch) -> None:
    images = [GENERATOR.integers(0, 256, (8, 8), dtype=np.uint8) for _ in range(3)]
    stored.add(images)
    split = open_split_arrays(stored.open(), FORMAT, scratch)
    assert torch.equal(split.images[:][:, 0], torch.from_numpy(np.stack(images)) / 255)


def test_eight_bits_beside_sixteen_are_exact_too(stored: SampleStore, scratch: Scratch) -> None:
    images = [GENERATOR.integers(0, 256, (8, 8), dtype=np.uint8), np.arange(64, dtype=np.uint16).reshape(8, 8)]
    stored.add(images)
    split = open_split_arrays(stored.open(), FORMAT, scratch)
    torch.testing.assert_close(split.images[[0]][0, 0], torch.from_numpy(images[0]) / 255, atol=1e-7, rtol=0)


def test_masks_are_mapped_too_and_keep_their_classes(stored: SampleStore, scratch: Scratch) -> None:
    images = bytes_images(4)
    stored.add(images, masks=[(image > 100).astype(np.uint8) for image in images])
    split_format = SplitFormat(MASKS, ("DX",), MASKS.labels, FORMAT.spec)
    split, expected = open_split_arrays(stored.open(), split_format, scratch), in_memory(stored, split_format)
    assert torch.equal(split.masks[:], expected.masks[:])
    assert split.masks[:].dtype is torch.long
    assert split.masks[:].unique().tolist() == [0, 1]


def test_threads_change_no_bit(
    stored: SampleStore, scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):  # a shard each
        stored.add([*bytes_images(3), GENERATOR.integers(0, 3000, (12, 12)).astype(np.int16)])
    monkeypatch.setattr(writing, "count_processors", lambda: 1)
    alone = open_split_arrays(stored.open(), FORMAT, scratch)
    monkeypatch.setattr(writing, "count_processors", lambda: 2)
    monkeypatch.setattr(writing, "BATCH_BYTES", 1)  # and each image alone
    reports: list[tuple[int, int, str]] = []
    other = Scratch(tmp_path / "other", 1 << 30)
    together = open_split_arrays(stored.open(), FORMAT, other, lambda *report: reports.append(report))
    assert isinstance(alone.images, MappedImages)
    assert isinstance(together.images, MappedImages)
    assert alone.images.values.tobytes() == together.images.values.tobytes()
    assert reports == [(4, 12, "images prepared"), (8, 12, "images prepared"), (12, 12, "images prepared")]


def test_a_preparation_that_fails_leaves_nothing(stored: SampleStore, scratch: Scratch) -> None:
    stored.add(bytes_images(3))
    stored.add(bytes_images(3))
    key = sorted(info.key for info in stored.store.list("shards/") if info.key.endswith(".safetensors"))[-1]
    pixels = stored.store.get(key)
    stored.store.put(key, pixels[:-1] + bytes([pixels[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="was changed"):
        open_split_arrays(stored.open(), FORMAT, scratch)
    assert [path.name for path in scratch.root.rglob("*") if path.is_file()] == ["lock"]
    stored.store.put(key, pixels)
    split = open_split_arrays(stored.open(), FORMAT, scratch)
    assert (split.images[:] - in_memory(stored).images[:]).abs().max() <= 0.5001 / 255


def test_an_entry_that_lost_a_file_is_prepared_again(stored: SampleStore, scratch: Scratch) -> None:
    stored.add(bytes_images(3))
    first = open_split_arrays(stored.open(), FORMAT, scratch)
    (entry,) = scratch.entries()
    next(path for path in entry.folder.iterdir() if path.name != "lock").unlink()
    second = open_split_arrays(stored.open(), FORMAT, scratch)
    assert torch.equal(first.images[:], second.images[:])


def test_training_and_evaluation_share_arrays(
    stored: SampleStore, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.add(bytes_images(3))
    first = open_split_arrays(stored.open(), FORMAT, scratch)
    monkeypatch.setattr(opening, "write_arrays", lambda *_, **__: pytest.fail("the arrays were prepared again"))
    grown = SplitFormat(TASK, ("DX",), (*FORMAT.labels, "later/z"), FORMAT.spec)
    second = open_split_arrays(stored.open(), grown, scratch)
    assert torch.equal(first.images[:], second.images[:])


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: SplitFormat(TASK, ("DX",), FORMAT.labels, NetworkSettings(size=(9, 8))),
        lambda stored: SplitFormat(TASK, ("DX",), FORMAT.labels, NetworkSettings(channels=3, size=(8, 8))),
        lambda stored: SplitFormat(TASK, ("CT",), FORMAT.labels, FORMAT.spec),
        lambda stored: stored.add(bytes_images(1)) or FORMAT,
        lambda stored: setattr(stored, "digest", f"sha256:{1:064}") or FORMAT,
    ],
)
def test_everything_that_changes_the_arrays_changes_their_name(
    stored: SampleStore, change: Callable[[SampleStore], SplitFormat]
) -> None:
    stored.add(bytes_images(3))
    before = FORMAT.digest_of(stored.open())
    assert FORMAT.digest_of(stored.open()) == before
    assert change(stored).digest_of(stored.open()) != before


def test_arrays_of_an_earlier_schema_are_not_read(stored: SampleStore) -> None:
    """The numbers below change with the way from pixels to numbers: raise ``SCHEMA`` together with them."""
    rows = np.add.outer(np.arange(16) * 9, np.arange(16) * 5)
    stored.add([rows.astype(np.uint8), (rows * 10).astype(np.int16)])
    values = [writing.quantise(image, "uint16")[0, 1, :3].tolist() for image in in_memory(stored).images[:]]
    assert layout.SCHEMA == 1
    assert values == [pytest.approx([6700, 8995, 11565], abs=1), pytest.approx([6617, 9575, 12888], abs=1)]


def test_a_withdrawal_removes_all_arrays_of_the_site(stored: SampleStore, scratch: Scratch) -> None:
    stored.add(bytes_images(3))
    open_split_arrays(stored.open(), FORMAT, scratch)
    (before,) = scratch.entries()
    stored.withdraw(Withdrawal(1, ("p0",), ()))
    open_split_arrays(stored.open(), FORMAT, scratch)
    (after,) = scratch.entries()
    assert not before.folder.exists()
    assert after.folder != before.folder


def test_no_path_in_the_scratch_folder_names_the_site(stored: SampleStore, scratch: Scratch) -> None:
    stored.add(bytes_images(3))
    open_split_arrays(stored.open(), FORMAT, scratch)
    assert not [path for path in scratch.root.rglob("*") if "store" in path.name or "DX" in path.name]


def test_what_cannot_be_learned_is_named_before_an_image_is_read(stored: SampleStore, scratch: Scratch) -> None:
    with pytest.raises(InputError, match="found no labelled samples"):
        open_split_arrays(stored.open(), FORMAT, scratch)
    stored.add(bytes_images(3))
    with pytest.raises(InputError, match="3 of 3 samples have no image of modality 'CT'"):
        open_split_arrays(stored.open(), SplitFormat(TASK, ("CT",), FORMAT.labels, FORMAT.spec), scratch)
    with pytest.raises(InputError, match="the model has no class 'first/a'"):
        open_split_arrays(stored.open(), SplitFormat(TASK, ("DX",), ("other/x",), FORMAT.spec), scratch)


def test_rows_of_a_file_are_announced_to_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = GENERATOR.integers(0, 256, (40, 1, 70, 70), dtype=np.uint8)  # rows that begin inside a page
    values.tofile(tmp_path / "0.array")
    mapped = MappedImages(map_file(tmp_path / "0.array", "uint8", values.shape))
    announced: list[list[int]] = []

    def record(array: np.ndarray, rows: Iterable[int]) -> None:
        announced.append(list(rows))
        announce_rows(array, announced[-1])

    monkeypatch.setattr(rows_module, "announce_rows", record)
    rows = torch.tensor([39, 0, -1, 7])
    assert np.array_equal(mapped.read(rows).numpy(), values[rows.numpy()])
    assert np.array_equal(mapped.read(slice(5, 30, 3)).numpy(), values[5:30:3])
    assert announced == [[39, 0, 39, 7], [*range(5, 30, 3)]]


def test_rows_of_parts_and_selections_are_those_of_tensors() -> None:
    values = GENERATOR.integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
    mapped, tensor = MappedImages(values), torch.from_numpy(values) / 255
    joined, together = JoinedRows((mapped, tensor + 1)), torch.cat((tensor, tensor + 1))
    rows = torch.tensor([7, 0, 9, 4, 0])
    assert torch.equal(joined[rows], together[rows])
    assert torch.equal(joined[2:7], together[2:7])
    assert torch.equal(torch.cat(list(batches_of(joined, 3))), together)
    selected = SelectedRows(joined, [8, 1, 3])
    assert (len(selected), selected.shape) == (3, (3, 1, 4, 4))
    assert torch.equal(selected[1:], together[[1, 3]])
