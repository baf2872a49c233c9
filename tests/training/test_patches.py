"""Patches of volumes: drawn alike for all inputs, repeatable, and windows that cover the whole volume."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders.learning import FIRST, context_of, data_of
from monai.data.utils import dense_patch_slices

from anamnesis.methods.stage import TrainingPass
from anamnesis.records import (
    Image,
    InputError,
    NetworkSettings,
    PatchSampler,
    PatchSettings,
    Sample,
    Split,
    Target,
)
from anamnesis.training import SplitData, TensorSplit, samples_to_tensors
from anamnesis.training.patches import draw_patches, windows_of

SIZE, VOLUME = (4, 8, 8), (8, 16, 12)
SPEC = NetworkSettings(size=SIZE, patches=PatchSettings(VOLUME, per_volume=3))


def places(count: int = 5) -> torch.Tensor:
    """Volumes [N, 1, *VOLUME] whose voxels are their own number: a patch says where it is from."""
    return torch.arange(count * 8 * 16 * 12).view(count, 1, *VOLUME)


def patch_data(split: TensorSplit, spec: NetworkSettings = SPEC) -> SplitData:
    context = context_of((FIRST,))
    settings = replace(context.settings, batch_size=2, augment=False)
    return replace(data_of(context, split), settings=settings, network=spec)


def test_patches_of_all_inputs_and_the_mask_have_one_place_and_equal_seeds_equal_places() -> None:
    inputs = {"CT": places(), "PT": -places()}
    targets = {"class": torch.arange(5), "mask": places()[:, 0]}
    patches, patch_targets = draw_patches(inputs, targets, SPEC.patches, SIZE, seed=4)  # type: ignore[arg-type]
    assert patches["CT"].shape == (15, 1, *SIZE)
    assert torch.equal(patches["CT"], -patches["PT"])
    assert torch.equal(patches["CT"][:, 0], patch_targets["mask"])
    assert patch_targets["class"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert (patches["CT"].flatten(1).amin(1) // places(1).numel()).tolist() == patch_targets["class"].tolist()
    corners = patches["CT"].flatten(1)[:, 0]
    assert len(corners.unique()) > 10
    for seed, is_equal in ((4, True), (5, False)):
        repeated, _ = draw_patches(inputs, targets, SPEC.patches, SIZE, seed=seed)  # type: ignore[arg-type]
        assert torch.equal(repeated["CT"].flatten(1)[:, 0], corners) is is_equal


def test_a_balanced_sampler_finds_a_small_foreground_and_needs_a_mask() -> None:
    masks = torch.zeros(2, *VOLUME, dtype=torch.long)
    masks[:, 0, 0, 0] = 1
    shares = {}
    for sampler in PatchSampler:
        settings = PatchSettings(VOLUME, sampler, per_volume=40)
        _, targets = draw_patches({"CT": places(2)}, {"mask": masks}, settings, SIZE, seed=0)
        shares[sampler] = targets["mask"].flatten(1).amax(1).float().mean().item()
    assert shares[PatchSampler.FOREGROUND_BALANCED] > 0.4
    assert shares[PatchSampler.RANDOM] < 0.2
    balanced = PatchSettings(VOLUME, PatchSampler.FOREGROUND_BALANCED)
    with pytest.raises(InputError, match=r"patches\.sampler: expected Random, because the task has no masks"):
        draw_patches({"CT": places(2)}, {"class": torch.zeros(2)}, balanced, SIZE, seed=0)


@pytest.mark.parametrize(("volume", "step"), [((8, 16, 12), (3, 6, 6)), ((9, 17, 8), (3, 6, 6)), (SIZE, SIZE)])
def test_windows_are_those_of_monai_and_cover_the_volume(volume: tuple[int, ...], step: tuple[int, ...]) -> None:
    windows = windows_of(volume, SIZE)
    assert windows == [tuple(slices) for slices in dense_patch_slices(volume, SIZE, step)]
    covered = torch.zeros(volume)
    for window in windows:
        covered[window] += 1
    assert covered.min() == 1


def test_a_shuffled_batch_has_random_patches_and_training_resumes_with_the_same_ones() -> None:
    split = TensorSplit.of_images(torch.rand(5, 1, *VOLUME), torch.arange(5) % 2, tuple("abcde"))
    data = patch_data(split)
    whole = list(data(Split.TRAIN, TrainingPass("s", epoch=1)))
    rest = list(data(Split.TRAIN, TrainingPass("s", epoch=1, first_batch=1)))
    assert [batch.images.shape[0] for batch in whole] == [6, 9]
    for batch, resumed in zip(whole[1:], rest, strict=True):
        assert torch.equal(batch.images, resumed.images)
        assert torch.equal(batch.classes, split.classes[batch.sample_indices])
    other_epoch = next(iter(data(Split.TRAIN, TrainingPass("s", epoch=2))))
    assert not torch.equal(whole[0].images, other_epoch.images)


def test_a_clean_pass_has_all_windows_of_each_sample_in_order() -> None:
    masks = (torch.rand(3, *VOLUME) > 0.5).long()
    split = TensorSplit({"CT": torch.rand(3, 1, *VOLUME)}, {"mask": masks}, tuple("abc"))
    batches = list(patch_data(split)(Split.TRAIN))
    windows = windows_of(VOLUME, SIZE)
    assert {len(batch.images) for batch in batches[:-1]} == {2}
    indices = torch.cat([batch.sample_indices for batch in batches])
    assert indices.tolist() == [row for row in range(3) for _ in windows]
    images = torch.cat([batch.images for batch in batches])
    patch_masks = torch.cat([batch.masks for batch in batches])
    for number, row in enumerate(indices.tolist()):
        window = windows[number % len(windows)]
        assert torch.equal(images[number], split.images[[row]][0][(..., *window)])
        assert torch.equal(patch_masks[number], masks[row][window])


def volume_sample(number: int, *sides: int) -> Sample:
    image = Image(np.full(sides, 100, np.uint8), (1.0,) * 3, "ZYX")
    return Sample(f"s{number}", "p", study="t", images={"CT": image}, target=Target(index=0))


def test_bad_input_a_volume_thinner_than_a_patch_is_refused_and_one_of_its_size_is_not() -> None:
    samples = [volume_sample(0, 4, 8, 8), volume_sample(1, 3, 64, 64)]
    with pytest.raises(
        InputError,
        match=r"^network\.input\.size: 1 of 2 volumes of modality 'CT' are thinner than a patch, for example "
        r"\[3, 64, 64\] voxels against \[4, 8, 8\]; set smaller sides",
    ):
        samples_to_tensors(samples, FIRST, modalities=("CT",), labels=FIRST.labels, spec=SPEC)
    split = samples_to_tensors(samples[:1], FIRST, modalities=("CT",), labels=FIRST.labels, spec=SPEC)
    assert split.images.shape == (1, 1, *VOLUME)


@pytest.mark.parametrize(
    ("size", "patches", "message"),
    [
        ((8, 8), PatchSettings((8, 16, 16)), r"expected three sides .* found \[8, 8\] and \[8, 16, 16\]"),
        ((8, 8, 8), PatchSettings((4, 16, 16)), r"patches\.volume: expected sides of at least a patch, \[8, 8, 8\]"),
        ((8, 8, 8), PatchSettings((8, 16, 16), per_volume=0), r"patches\.perVolume: expected 1 or more, found 0"),
    ],
)
def test_bad_input_patches_that_do_not_fit_are_refused(
    size: tuple[int, ...], patches: PatchSettings, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        NetworkSettings(size=size, patches=patches)
