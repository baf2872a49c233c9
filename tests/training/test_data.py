"""From samples to batches: intensities, planes, channels, sizes, order and augmentation."""

import numpy as np
import pytest
import torch
from builders.learning import FIRST, SETTINGS, bar_split, context_of, data_of, square_split

from anamnesis.records import Image, InputError, NetworkSettings, Sample, Split, Target, Task, TaskType
from anamnesis.training import samples_to_tensors
from anamnesis.training.augmentation import Augmentation
from anamnesis.training.intensity import to_planes, to_unit_range
from anamnesis.training.random_streams import RandomStreams

SPEC = NetworkSettings(size=(16, 16))
LABELS = ("other/x", "other/y", *FIRST.labels)


def sample(number: int, pixels: np.ndarray, axes: str = "YX", index: int = 0) -> Sample:
    image = Image(pixels, (1.0,) * 2, axes)
    return Sample(f"s{number}", f"p{number}", study=f"t{number}", images={"DX": image}, target=Target(index=index))


def test_samples_of_many_shapes_keep_their_order_and_get_their_columns() -> None:
    shapes = [(16, 16), (40, 20), (16, 16), (30, 30, 3)]
    samples = [
        sample(n, np.full(shape, 40 * (n + 1), np.uint8), "YXC" if len(shape) == 3 else "YX", n % 2)
        for n, shape in enumerate(shapes)
    ]
    split = samples_to_tensors(samples, FIRST, modality="DX", labels=LABELS, spec=SPEC)
    assert split.images.shape == (4, 1, 16, 16)
    assert split.targets.tolist() == [2, 3, 2, 3]
    torch.testing.assert_close(
        split.images.float().mean((1, 2, 3)), torch.tensor([40, 80, 120, 160]) / 255, atol=1e-3, rtol=0
    )


def test_grey_is_repeated_for_a_colour_network() -> None:
    split = samples_to_tensors(
        [sample(0, np.eye(16, dtype=np.uint8) * 255)],
        FIRST,
        modality="DX",
        labels=LABELS,
        spec=NetworkSettings(channels=3, size=(16, 16)),
    )
    assert torch.equal(split.images[0, 0], split.images[0, 2])


def test_of_a_volume_the_middle_slice_is_taken() -> None:
    volume = np.zeros((5, 16, 16), np.uint8)
    volume[2] = 255
    assert (
        samples_to_tensors([sample(0, volume, "ZYX")], FIRST, modality="DX", labels=LABELS, spec=SPEC).images.min() == 1
    )


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_middle_slice_is_a_slice_of_the_acquisition_with_the_head_at_the_top(slice_axis: int) -> None:
    volume = torch.arange(5 * 7 * 9, dtype=torch.float32).view(1, 5, 7, 9)
    plane = to_planes(volume, "ZYX", slice_axis)[0, 0]
    middle = volume[0].select(slice_axis, volume.shape[1 + slice_axis] // 2)
    assert torch.equal(plane, middle if slice_axis == 0 else middle.flip(0))


def test_volumes_of_other_planes_are_not_mixed_and_masks_follow_their_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 16), dtype=np.uint8)
    mask = (pixels > 127).astype(np.uint8)
    samples = [
        Sample(
            f"s{axis}",
            "p",
            study="t",
            images={
                "DX": Image(pixels, (1.0,) * 3, "ZYX", slice_axis=axis),
                "mask": Image(mask, (1.0,) * 3, "ZYX", slice_axis=0),
            },
            target=Target(mask="mask"),
        )
        for axis in (0, 1, 2, 0)
    ]
    task = Task("organ", TaskType.SEGMENTATION, ("organ",))
    split = samples_to_tensors(samples, task, modality="DX", labels=task.labels, spec=SPEC)
    assert torch.equal(split.images[0], split.images[3])
    assert not torch.equal(split.images[0], split.images[1])
    assert torch.equal(split.targets, (split.images[:, 0].float() * 255 > 127.5).long())


def test_hounsfield_units_take_a_fixed_window_and_other_scanners_their_percentiles() -> None:
    pixels = torch.tensor([[[-2000.0, 0.0, 500.0, 3000.0]]])
    assert to_unit_range(pixels, "CT", is_byte=False).flatten().tolist() == [0.0, 0.5, 0.75, 1.0]
    scaled = to_unit_range(torch.linspace(100, 900, 1001).view(1, 1, -1), "MR", is_byte=False)
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert scaled[0, 0, 500] == pytest.approx(0.5, abs=1e-4)
    assert torch.isfinite(to_unit_range(torch.full((1, 4, 4), 7.0), "MR", is_byte=False)).all()  # a blank image


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "found no labelled samples"),
        (
            [sample(0, np.full((4, 4), np.nan, np.float32))],
            "1 samples have pixels that are NaN or infinite, first sample s0",
        ),
        (
            [Sample("s1", "p", "t", {"CT": Image(np.zeros((4, 4), np.uint8), (1.0, 1.0), "YX")})],
            "expected an image of modality 'DX', found CT",
        ),
    ],
)
def test_what_cannot_be_learned_is_named(samples: list[Sample], message: str) -> None:
    with pytest.raises(InputError, match=message):
        samples_to_tensors(samples, FIRST, modality="DX", labels=LABELS, spec=SPEC)


def test_a_class_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="the model has no class 'first/a'"):
        samples_to_tensors(
            [sample(0, np.zeros((4, 4), np.uint8))], FIRST, modality="DX", labels=("other/x",), spec=SPEC
        )


def test_masks_are_resized_without_new_values() -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:16] = 1
    images = {"MR": Image(mask * 200, (1.0, 1.0), "YX"), "mask": Image(mask, (1.0, 1.0), "YX")}
    task = Task("organ", TaskType.SEGMENTATION, ("background", "organ"), "Dice")
    split = samples_to_tensors(
        [Sample("s", "p", study="t", images=images, target=Target(mask="mask"))],
        task,
        modality="MR",
        labels=task.labels,
        spec=SPEC,
    )
    assert split.targets.shape == (1, 16, 16)
    assert split.targets.unique().tolist() == [0, 1]
    assert split.targets[0, :8].all()


def test_epochs_are_shuffled_alike_every_time_and_differently_each() -> None:
    context = context_of((FIRST,))
    data = data_of(context, bar_split(FIRST, context.labels, count=20))
    orders = [
        torch.cat([b.sample_indices for b in data(Split.TRAIN, 1, stage="s", epoch=e)]).tolist() for e in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(20))


def test_starting_inside_an_epoch_gives_the_same_batches() -> None:
    context = context_of((FIRST,))
    data = data_of(context, bar_split(FIRST, context.labels, count=20))
    whole = list(data(Split.TRAIN, 2, stage="s", epoch=3))
    rest = list(data(Split.TRAIN, 2, stage="s", epoch=3, first_batch=1))
    assert len(whole) == 3
    assert len(rest) == 2
    for whole_batch, resumed_batch in zip(whole[1:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(whole_batch.views, resumed_batch.views, strict=True))
    assert not torch.equal(*whole[0].views)


def test_clean_images_come_in_stored_order() -> None:
    context = context_of((FIRST,))
    split = bar_split(FIRST, context.labels, count=10)
    batches = list(data_of(context, split)(Split.TRAIN))
    assert torch.equal(torch.cat([batch.images for batch in batches]), split.images.float())


def test_a_split_that_was_not_opened_is_not_there() -> None:
    context = context_of((FIRST,))
    with pytest.raises(KeyError):
        list(data_of(context, bar_split(FIRST, context.labels))(Split.TEST))


def test_augmentation_moves_images_and_masks_together() -> None:
    split = square_split()
    masks = split.targets
    images = masks[:, None].float()
    moved, shifted = Augmentation(contrast=0, brightness=0)(images, torch.Generator().manual_seed(0), masks)
    assert shifted is not None
    agreement = ((moved[:, 0] > 0.5) == (shifted == 1)).float().mean()
    assert agreement > 0.97
    assert not torch.equal(shifted, masks)
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_no_augmentation_is_the_identity() -> None:
    images = torch.rand(3, 1, 16, 16)
    still = Augmentation(degrees=0, shift=0, scale=0, contrast=0, brightness=0, flip=0)
    torch.testing.assert_close(still(images, torch.Generator())[0], images, atol=1e-5, rtol=0)


def test_streams_are_functions_of_their_names() -> None:
    streams = RandomStreams(7, "update")
    assert streams.derive_seed("a", 1) == RandomStreams(7, "update").derive_seed("a", 1)
    other_numbers = {
        streams.derive_seed("a", 2),
        RandomStreams(8, "update").derive_seed("a", 1),
        RandomStreams(7, "x").derive_seed("a", 1),
    }
    assert streams.derive_seed("a", 1) not in other_numbers
    assert SETTINGS.seed == 0
