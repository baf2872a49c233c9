"""Visual prototypes: made, kept, refined. Numbers are those of ``docs/methods/ewc_prototype.md`` (7 and trap 10)."""

from dataclasses import replace

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of
from torch import Tensor

from anamnesis.methods.features.latent_prototypes import class_means
from anamnesis.methods.features.saliency_maps import SaliencyTarget
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.features.visual_prototypes import (
    PrototypeKind,
    PrototypeMap,
    VisualPrototypeOptions,
    VisualPrototypes,
)
from anamnesis.methods.stage import TrainingStep
from anamnesis.networks import AutoEncoder
from anamnesis.records import Task, TaskType, TrainingSettings
from anamnesis.training import SplitData, TensorSplit

OPTIONS = VisualPrototypeOptions(minimum_images=1, kind=PrototypeKind.INPUTS, map=PrototypeMap.INTENSITY)
THIRD = Task("third", TaskType.CLASSIFICATION, ("f", "g"))


class PrototypeSetup:
    """A network, its prototypes, and tasks that pass without training."""

    def __init__(self, replayed: int = 4, is_stored: bool = True, **changes: object) -> None:
        self.network, self.groups = AutoEncoder(SPEC, seed=0), TaskGroups()
        self.visual = VisualPrototypes(
            replace(OPTIONS, **changes),  # type: ignore[arg-type]
            self.groups,
            None,
            saliency_target=SaliencyTarget.CLASS,
            replay_count=replayed,
            is_stored=is_stored,
        )

    def pass_task(self, *tasks: Task, split: TensorSplit | None = None, batch_size: int = 8) -> Tensor:
        context = context_of(tasks, TrainingSettings(batch_size=batch_size))
        data: SplitData = data_of(context, split or bar_split(tasks[-1], context.labels))
        self.network.head.grow(len(context.labels), torch.Generator().manual_seed(0))
        for part in (self.groups, self.visual):
            part.begin_task(self.network, context, data)
        self.visual.fix_prototypes(self.network, context, data)
        target_maps = self.visual.target_maps
        self.means, self.mean_counts = self.visual.mean_prototypes(context)
        self.visual.end_task(self.network, context, data)
        return target_maps

    def select_replayed(self, step_index: int = 0) -> list[int]:
        step = TrainingStep("train", 0, step_index=step_index, total_steps=99, learning_rate=0.0)
        rows: list[int] = self.visual.select_replayed(step).tolist()
        return rows


def test_7_the_mean_over_batches_is_the_full_mean() -> None:
    split = bar_split(SECOND, context_of((SECOND,)).labels, count=23)
    image_sets = []
    for size in (3, 8, 64):
        setup = PrototypeSetup()
        setup.pass_task(SECOND, split=split, batch_size=size)
        images = setup.visual.by_site["site-1"].images
        image_sets.append(images)
        for column in range(3):
            full = split.images[split.classes == column].double().mean(0).float()
            torch.testing.assert_close(images[column], full)
    assert torch.equal(image_sets[0], image_sets[2])


def test_7_updates_of_other_sites_leave_a_prototype_as_it_is_bit_for_bit() -> None:
    setup = PrototypeSetup()
    setup.pass_task(FIRST)
    before = {name: value.clone() for name, value in setup.visual.by_site["site-1"].tensors().items()}
    with torch.no_grad():
        for value in setup.network.parameters():
            value.add_(0.1)
    setup.pass_task(FIRST, SECOND)
    setup.pass_task(FIRST, SECOND, THIRD)
    after = setup.visual.by_site["site-1"].tensors()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert [stored.columns.tolist() for stored in setup.visual.by_site.values()] == [[0, 1], [2, 3, 4], [5, 6]]


def test_7_a_class_without_images_has_none_and_disturbs_nobody() -> None:
    setup, labels = PrototypeSetup(), context_of((SECOND,)).labels
    split = bar_split(SECOND, labels)
    present = split.classes != 1
    target_maps = setup.pass_task(
        SECOND, split=TensorSplit.of_images(split.images[present], split.classes[present], split.sample_ids[:13])
    )
    stored = setup.visual.by_site["site-1"]
    assert (stored.columns.tolist(), stored.counts.tolist()) == ([0, 2], [7, 6])
    assert not target_maps[1].any()


def test_a_class_of_two_sites_is_aligned_with_the_mean_of_all_its_images_and_replayed_for_the_other_site() -> None:
    setup, labels = PrototypeSetup(), context_of((FIRST,)).labels
    first_split, second_split = bar_split(FIRST, labels, count=12, seed=1), bar_split(FIRST, labels, count=30, seed=2)
    setup.pass_task(FIRST, split=first_split)
    setup.pass_task(FIRST, FIRST, split=second_split)
    assert setup.mean_counts.tolist() == [21, 21]
    for column in range(2):
        both = (
            (first_split + second_split).images[(first_split + second_split).classes == column].double().mean(0).float()
        )
        torch.testing.assert_close(setup.means[column], both)
    assert torch.equal(setup.visual.replayed.images, setup.visual.by_site["site-1"].images)


def test_a_site_that_returns_replaces_its_prototypes_and_does_not_repeat_them() -> None:
    grown, at_once, labels = PrototypeSetup(), PrototypeSetup(), context_of((FIRST,)).labels
    split = bar_split(FIRST, labels, count=30, seed=2)
    grown.pass_task(FIRST, split=bar_split(FIRST, labels, count=12, seed=1))
    grown.pass_task(FIRST, split=split)
    assert not grown.select_replayed()
    at_once.pass_task(FIRST, split=split)
    expected = at_once.visual.by_site["site-1"].tensors()
    assert all(torch.equal(value, expected[name]) for name, value in grown.visual.by_site["site-1"].tensors().items())


def test_10_a_class_of_few_images_has_no_prototype_and_refines_none() -> None:
    """Else the difference of two versions would show the mean of the few."""
    setup, labels = PrototypeSetup(minimum_images=5), context_of((FIRST,)).labels
    setup.pass_task(FIRST, split=bar_split(FIRST, labels, count=9))
    stored = setup.visual.by_site["site-1"]
    assert (stored.columns.tolist(), stored.counts.tolist()) == ([0], [5])
    setup.pass_task(FIRST, FIRST, split=bar_split(FIRST, labels, count=8, seed=3))
    assert list(setup.visual.by_site) == ["site-1"]
    assert setup.mean_counts.tolist() == [5, 0]
    torch.testing.assert_close(setup.means[0], stored.images[0])


def test_10_what_a_site_does_not_share_does_not_outlive_its_task() -> None:
    setup = PrototypeSetup(is_stored=False)
    assert setup.pass_task(FIRST).any()  # it served its own task
    assert not setup.visual.state_dict()
    assert not setup.visual.by_site


@pytest.mark.parametrize("kind", PrototypeKind)
def test_each_prototype_kind_gives_images_between_black_and_white(kind: PrototypeKind) -> None:
    setup = PrototypeSetup(kind=kind)
    setup.pass_task(FIRST)
    images = setup.visual.by_site["site-1"].images
    assert images.shape == (2, 1, 16, 16)
    assert 0 <= images.min() < images.max() <= 1


def test_p1_decodes_and_p2_averages_decoded_images() -> None:
    context = context_of((FIRST,))
    data = data_of(context, bar_split(FIRST, context.labels))
    for kind in (PrototypeKind.DECODED, PrototypeKind.OUTPUTS):
        setup = PrototypeSetup(kind=kind)
        setup.pass_task(FIRST)
        network = setup.network
        if kind is PrototypeKind.DECODED:
            expected = network.decode(class_means(network, data, (0, 1), network.features)[0])
        else:
            expected, _ = class_means(network, data, (0, 1), lambda x, n=network: n.decode(n.features(x)))
        torch.testing.assert_close(setup.visual.by_site["site-1"].images, expected)


def test_9_maps_to_match_are_bright_distinctive_or_looked_at() -> None:
    bright, distinctive, looked = (PrototypeSetup(map=map_kind).pass_task(SECOND) for map_kind in PrototypeMap)
    means = PrototypeSetup()
    means.pass_task(SECOND)
    images = means.visual.by_site["site-1"].images
    pool = torch.nn.functional.adaptive_avg_pool2d
    torch.testing.assert_close(bright, pool(images.mean(1), 2))
    torch.testing.assert_close(distinctive, pool((images - images.mean(0)).abs().mean(1), 2))
    torch.testing.assert_close(looked, means.visual.by_site["site-1"].maps)


def test_one_class_alone_has_nothing_distinctive() -> None:
    split = bar_split(FIRST, context_of((FIRST,)).labels)
    only = TensorSplit.of_images(split.images[::2], split.classes[::2], split.sample_ids[::2])
    assert not PrototypeSetup(map=PrototypeMap.DISTINCTIVE).pass_task(FIRST, split=only).any()


def test_replayed_prototypes_take_turns_and_are_always_as_many() -> None:
    setup = PrototypeSetup(replayed=2)
    setup.pass_task(FIRST)
    setup.pass_task(FIRST, SECOND)
    setup.pass_task(FIRST, SECOND, THIRD)
    turns = [setup.select_replayed(number) for number in range(5)]
    assert [len(turn) for turn in turns] == [2] * 5
    assert sorted(row for turn in turns for row in turn) == sorted([0, 1, 2, 3, 4] * 2)
    assert setup.visual.replayed.columns.tolist() == [0, 1, 2, 3, 4]
    few = PrototypeSetup(replayed=4)
    few.pass_task(FIRST)
    few.pass_task(FIRST, SECOND)
    assert len(few.select_replayed()) == 4


def test_groups_name_the_task_where_a_class_was_first_met() -> None:
    setup = PrototypeSetup()
    setup.pass_task(FIRST)
    setup.pass_task(FIRST, FIRST)
    setup.pass_task(FIRST, FIRST, SECOND)
    assert setup.groups.task_of_class.tolist() == [0, 0, 1, 1, 1]
    torch.testing.assert_close(setup.groups.task_means(torch.arange(5.0))[:3], torch.tensor([0.5, 0.5, 3.0]))
