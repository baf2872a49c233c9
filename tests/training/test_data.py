"""From samples to batches: intensities, planes, channels, sizes, order and augmentation."""

import numpy as np
import pytest
import torch
from builders.learning import FIRST, SETTINGS, bar_split, context_of, data_of, square_split

from anamnesis.methods.stage import TrainingPass
from anamnesis.records import Image, InputError, NetworkSettings, Sample, Split, Target, Task, TaskType
from anamnesis.training import TensorSplit, samples_to_tensors
from anamnesis.training.augmentation import Augmentation
from anamnesis.training.intensity import PERCENTILES, percentiles, resize, to_planes, to_unit_range
from anamnesis.training.random_streams import RandomStreams
from anamnesis.training.reported_data import ReportedData

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
    split = samples_to_tensors(samples, FIRST, modalities=("DX",), labels=LABELS, spec=SPEC)
    assert split.images.shape == (4, 1, 16, 16)
    assert split.classes.tolist() == [2, 3, 2, 3]
    torch.testing.assert_close(
        split.images.float().mean((1, 2, 3)), torch.tensor([40, 80, 120, 160]) / 255, atol=1e-3, rtol=0
    )


def test_grey_is_repeated_for_a_colour_network() -> None:
    split = samples_to_tensors(
        [sample(0, np.eye(16, dtype=np.uint8) * 255)],
        FIRST,
        modalities=("DX",),
        labels=LABELS,
        spec=NetworkSettings(channels=3, size=(16, 16)),
    )
    assert torch.equal(split.images[0, 0], split.images[0, 2])


def test_of_a_volume_the_middle_slice_is_taken() -> None:
    volume = np.zeros((5, 16, 16), np.uint8)
    volume[2] = 255
    assert (
        samples_to_tensors([sample(0, volume, "ZYX")], FIRST, modalities=("DX",), labels=LABELS, spec=SPEC).images.min()
        == 1
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
    split = samples_to_tensors(samples, task, modalities=("DX",), labels=task.labels, spec=SPEC)
    assert torch.equal(split.images[0], split.images[3])
    assert not torch.equal(split.images[0], split.images[1])
    assert torch.equal(split.masks, (split.images[:, 0].float() * 255 > 127.5).long())


def test_hounsfield_units_take_a_fixed_window_and_other_scanners_their_percentiles() -> None:
    pixels = torch.tensor([[[-2000.0, 0.0, 500.0, 3000.0]]])
    assert to_unit_range(pixels, "CT", is_byte=False).flatten().tolist() == [0.0, 0.5, 0.75, 1.0]
    scaled = to_unit_range(torch.linspace(100, 900, 1001).view(1, 1, -1), "MR", is_byte=False)
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert scaled[0, 0, 500] == pytest.approx(0.5, abs=1e-4)
    assert torch.isfinite(to_unit_range(torch.full((1, 4, 4), 7.0), "MR", is_byte=False)).all()  # a blank image


@pytest.mark.parametrize("pixels", [1, 2, 3, 1000, 4097])
def test_percentiles_are_those_of_torch_to_the_bit(pixels: int) -> None:
    values = torch.randn(3, pixels, generator=torch.Generator().manual_seed(pixels)) * 1000
    assert torch.equal(percentiles(values), torch.quantile(values, torch.tensor(PERCENTILES), dim=1))


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
            "1 of 1 samples have no image of modality 'DX'",
        ),
    ],
)
def test_what_cannot_be_learned_is_named(samples: list[Sample], message: str) -> None:
    with pytest.raises(InputError, match=message):
        samples_to_tensors(samples, FIRST, modalities=("DX",), labels=LABELS, spec=SPEC)


def pair_sample(number: int, **modalities: int) -> Sample:
    images = {name: Image(np.full((16, 16), value, np.uint8), (1.0, 1.0), "YX") for name, value in modalities.items()}
    return Sample(f"s{number}", "p", study="t", images=images, target=Target(index=0))


def test_several_modalities_of_a_sample_are_inputs_by_name() -> None:
    samples = [pair_sample(0, PT=50, CT=100), pair_sample(1, CT=200, PT=150)]
    split = samples_to_tensors(samples, FIRST, modalities=("CT", "PT"), labels=LABELS, spec=SPEC)
    grey = {name: (255 * images.float()[:, 0, 0, 0]).round().tolist() for name, images in split.inputs.items()}
    assert grey == {"CT": [100, 200], "PT": [50, 150]}
    samples[1] = pair_sample(1, CT=200)
    assert samples_to_tensors(samples, FIRST, modalities=("CT",), labels=LABELS, spec=SPEC).images.shape[0] == 2
    with pytest.raises(InputError, match=r"^1 of 2 samples have no image of modality 'PT'; ask the site"):
        samples_to_tensors(samples, FIRST, modalities=("CT", "PT"), labels=LABELS, spec=SPEC)


def test_the_modalities_of_a_view_are_moved_alike() -> None:
    context = context_of((FIRST,))
    split = bar_split(FIRST, context.labels)
    pair = TensorSplit({"CT": split.images, "PT": split.images}, split.targets, split.sample_ids)
    batch = next(data_of(context, pair)(Split.TRAIN, TrainingPass("s", views=2)))
    for first, second in zip(batch.inputs["CT"], batch.inputs["PT"], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(*batch.views)


def test_sites_of_one_input_are_joined_and_those_of_several_need_the_same() -> None:
    images, targets = torch.zeros(1, 1, 4, 4), {"class": torch.zeros(1, dtype=torch.long)}
    splits = [TensorSplit({name: images}, targets, (name,)) for name in ("CT", "DX", "CT")]
    assert list((splits[0] + splits[1] + splits[2]).inputs) == ["CT + DX"]
    pair = TensorSplit({"CT": images, "PT": images}, targets, ("pair",))
    assert [len(images) for images in (pair + pair).inputs.values()] == [2, 2]
    with pytest.raises(InputError, match="modalities CT, PT and CT cannot be learned together"):
        pair + splits[0]


VOLUME_SPEC = NetworkSettings(size=(4, 8, 8))


def test_a_network_of_three_sides_reads_whole_volumes_at_its_size() -> None:
    bright_depths = [0, 3, 6]
    volumes = [np.zeros((8, 16, 20), np.uint8) for _ in bright_depths]
    for volume, depth in zip(volumes, bright_depths, strict=True):
        volume[depth : depth + 2] = 255
    samples = [sample(number, volume, "ZYX") for number, volume in enumerate(volumes)]
    split = samples_to_tensors(samples, FIRST, modalities=("DX",), labels=LABELS, spec=VOLUME_SPEC)
    assert split.images.shape == (3, 1, 4, 8, 8)
    means = split.images.float().mean((1, 3, 4))
    torch.testing.assert_close(means.sum(1), torch.ones(3), atol=0.3, rtol=0)  # one slice of four is bright
    assert means.argmax(1)[[0, 2]].tolist() == [0, 3]
    assert means[1].argmax() in (1, 2)  # between two slices of the smaller volume


def test_an_image_without_depth_is_refused_for_a_network_of_three_sides() -> None:
    flat = [sample(0, np.zeros((4, 4), np.uint8))]
    with pytest.raises(InputError, match=r"^network\.input\.size: three sides need volumes, but 1 of 1 images"):
        samples_to_tensors(flat, FIRST, modalities=("DX",), labels=LABELS, spec=VOLUME_SPEC)


def test_masks_of_volumes_have_the_size_of_their_volume() -> None:
    mask = np.zeros((8, 16, 16), np.uint8)
    mask[:4] = 1
    images = {name: Image(pixels, (1.0,) * 3, "ZYX") for name, pixels in (("MR", mask * 200), ("mask", mask))}
    task = Task("organ", TaskType.SEGMENTATION, ("background", "organ"), "Dice")
    samples = [Sample("s", "p", study="t", images=images, target=Target(mask="mask"))]
    split = samples_to_tensors(samples, task, modalities=("MR",), labels=task.labels, spec=VOLUME_SPEC)
    assert split.masks[0, :, 0, 0].tolist() == [1, 1, 0, 0]


def test_resizing_a_volume_is_anti_aliased_along_each_side() -> None:
    stripes = torch.zeros(1, 1, 16, 16, 16)
    for axis in (2, 3, 4):
        pattern = stripes.movedim(axis, 0).clone()
        pattern[::2] = 1
        small = resize(pattern.movedim(0, axis), (4, 4, 4))
        inner = small[:, :, 1:-1, 1:-1, 1:-1]
        torch.testing.assert_close(inner, torch.full_like(inner, 0.5), atol=0.02, rtol=0)
    flat = torch.rand(1, 2, 3, 5, 7)
    assert torch.equal(resize(flat, (3, 5, 7)), flat)


def test_a_class_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(InputError, match="the model has no class 'first/a'"):
        samples_to_tensors(
            [sample(0, np.zeros((4, 4), np.uint8))], FIRST, modalities=("DX",), labels=("other/x",), spec=SPEC
        )


def test_masks_are_resized_without_new_values() -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:16] = 1
    images = {"MR": Image(mask * 200, (1.0, 1.0), "YX"), "mask": Image(mask, (1.0, 1.0), "YX")}
    task = Task("organ", TaskType.SEGMENTATION, ("background", "organ"), "Dice")
    split = samples_to_tensors(
        [Sample("s", "p", study="t", images=images, target=Target(mask="mask"))],
        task,
        modalities=("MR",),
        labels=task.labels,
        spec=SPEC,
    )
    assert split.masks.shape == (1, 16, 16)
    assert split.masks.unique().tolist() == [0, 1]
    assert split.masks[0, :8].all()


def test_epochs_are_shuffled_alike_every_time_and_differently_each() -> None:
    context = context_of((FIRST,))
    data = data_of(context, bar_split(FIRST, context.labels, count=20))
    orders = [
        torch.cat([b.sample_indices for b in data(Split.TRAIN, TrainingPass("s", epoch=e))]).tolist() for e in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(20))


def test_starting_inside_an_epoch_gives_the_same_batches() -> None:
    context = context_of((FIRST,))
    data = data_of(context, bar_split(FIRST, context.labels, count=20))
    whole = list(data(Split.TRAIN, TrainingPass("s", epoch=3, views=2)))
    rest = list(data(Split.TRAIN, TrainingPass("s", epoch=3, first_batch=1, views=2)))
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


def test_passes_after_the_training_report_their_images() -> None:
    context = context_of((FIRST,), SETTINGS)
    data, reports = data_of(context, bar_split(FIRST, context.labels)), []
    reported = ReportedData(data, lambda *report: reports.append(report))
    for _ in range(2):
        assert sum(len(batch.images) for batch in reported(Split.TRAIN)) == data.count(Split.TRAIN)
    count = data.count(Split.TRAIN)
    assert [report for report in reports if report[0] == count] == [
        (count, count, f"images of pass {number} after the training") for number in (1, 2)
    ]


def test_a_split_that_was_not_opened_is_not_there() -> None:
    context = context_of((FIRST,))
    with pytest.raises(KeyError):
        list(data_of(context, bar_split(FIRST, context.labels))(Split.TEST))


def test_augmentation_moves_images_and_masks_together() -> None:
    split = square_split()
    masks = split.masks
    images = masks[:, None].float()
    moved, shifted = Augmentation(contrast=0, brightness=0)(images, torch.Generator().manual_seed(0), masks)
    assert shifted is not None
    agreement = ((moved[:, 0] > 0.5) == (shifted == 1)).float().mean()
    assert agreement > 0.97
    assert not torch.equal(shifted, masks)
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_augmentation_moves_volumes_and_their_masks_together() -> None:
    masks = torch.zeros(6, 8, 16, 16, dtype=torch.long)
    masks[:, 2:6, 4:12, 4:12] = 1
    still = {"contrast": 0.0, "brightness": 0.0}
    moved, moved_masks = Augmentation(**still)(masks[:, None].float(), torch.Generator().manual_seed(0), masks)
    assert moved_masks is not None
    assert moved.shape == (6, 1, 8, 16, 16)
    assert ((moved[:, 0] > 0.5) == (moved_masks == 1)).float().mean() > 0.95
    assert not torch.equal(moved_masks, masks)
    repeated, _ = Augmentation(**still)(masks[:, None].float(), torch.Generator().manual_seed(0))
    assert torch.equal(moved, repeated)


def test_a_rotation_keeps_lengths_in_pixels_where_sides_differ() -> None:
    bar = torch.zeros(1, 1, 64, 32)
    bar[:, :, 30:34, 8:24] = 1
    turned = Augmentation(degrees=45, shift=0, scale=0, contrast=0, brightness=0)
    stream = next(seed for seed in range(99) if torch.rand(1, generator=torch.Generator().manual_seed(seed)) > 0.98)
    moved, _ = turned(bar, torch.Generator().manual_seed(stream))
    rows, columns = (moved[0, 0] > 0.5).nonzero().T
    assert abs(int(rows.max() - rows.min()) - int(columns.max() - columns.min())) <= 2
    assert moved.sum() == pytest.approx(bar.sum().item(), rel=0.05)


@pytest.mark.parametrize("sides", [(16, 16), (4, 16, 8)])
def test_no_augmentation_is_the_identity(sides: tuple[int, ...]) -> None:
    images = torch.rand(3, 1, *sides)
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
