"""Visual prototypes: made, kept, refined. Numbers are those of ``docs/methods/ewc_prototype.md`` (7 and trap 10)."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from toys.learning import FIRST, SECOND, SPEC, bars, context_of, data_of

from anamnesis.methods.base import Step
from anamnesis.methods.features.latent_prototypes import class_means
from anamnesis.methods.features.saliency_maps import Evidence
from anamnesis.methods.features.task_groups import Groups
from anamnesis.methods.features.visual_prototypes import PrototypeMap, Reading, VisualPrototypes, VisualSettings
from anamnesis.networks import AutoEncoder
from anamnesis.records import Task, TaskType, TrainingSettings
from anamnesis.training import SplitData, TensorSplit

SETTINGS = VisualSettings(Reading.INPUTS, PrototypeMap.INTENSITY, Evidence.CLASS, 0.25, 1, 4, True)
THIRD = Task("third", TaskType.CLASSIFICATION, ("f", "g"))


class Ward:
    """A network, its prototypes, and tasks that pass without training."""

    def __init__(self, **changes: object) -> None:
        self.network, self.groups = AutoEncoder(SPEC, seed=0), Groups()
        self.visual = VisualPrototypes(replace(SETTINGS, **changes), self.groups, None)  # type: ignore[arg-type]

    def learn(self, *tasks: Task, split: TensorSplit | None = None, batch_size: int = 8) -> Tensor:
        context = context_of(tasks, TrainingSettings(batch_size=batch_size))
        data: SplitData = data_of(context, split or bars(tasks[-1], context.labels))
        self.network.head.grow(len(context.labels), torch.Generator().manual_seed(0))
        for part in (self.groups, self.visual):
            part.begin(self.network, context, data)
        self.visual.fix(self.network, context, data)
        wanted = self.visual.wanted
        self.visual.end(self.network, context, data)
        return wanted


def test_7_the_mean_over_batches_is_the_full_mean() -> None:
    split = bars(SECOND, context_of((SECOND,)).labels, count=23)
    found = []
    for size in (3, 8, 64):
        ward = Ward()
        ward.learn(SECOND, split=split, batch_size=size)
        found.append(ward.visual.images)
        for column in range(3):
            full = split.images[split.targets == column].double().mean(0).float()
            torch.testing.assert_close(ward.visual.images[column], full)
    assert torch.equal(found[0], found[2])


def test_7_later_tasks_leave_a_prototype_as_it_is_bit_for_bit() -> None:
    ward = Ward()
    ward.learn(FIRST)
    before = {name: getattr(ward.visual, name).clone() for name in ("images", "counts", "maps")}
    with torch.no_grad():
        for value in ward.network.parameters():
            value.add_(0.1)
    ward.learn(FIRST, SECOND)
    ward.learn(FIRST, SECOND, THIRD)
    for name, value in before.items():
        assert torch.equal(getattr(ward.visual, name)[:2], value)
    assert ward.visual.images.shape[0] == 7
    assert ward.visual.images[2:].flatten(1).any(1).all()


def test_7_a_class_without_images_has_none_and_disturbs_nobody() -> None:
    ward, labels = Ward(), context_of((SECOND,)).labels
    split = bars(SECOND, labels)
    present = split.targets != 1
    wanted = ward.learn(SECOND, split=TensorSplit(split.images[present], split.targets[present], split.ids[:13]))
    assert ward.visual.counts.tolist() == [7, 0, 6]
    assert not ward.visual.images[1].any()
    assert not wanted[1].any()
    assert set(ward.visual.replayed(Step("train", 0, 0, 9, 0.0)).tolist()) == {0, 2}


def test_a_class_met_again_is_the_mean_of_all_its_images() -> None:
    ward, labels = Ward(), context_of((FIRST,)).labels
    here, there = bars(FIRST, labels, count=12, seed=1), bars(FIRST, labels, count=30, seed=2)
    ward.learn(FIRST, split=here)
    ward.learn(FIRST, FIRST, split=there)
    assert ward.visual.counts.tolist() == [21, 21]
    for column in range(2):
        both = (here + there).images[(here + there).targets == column].double().mean(0).float()
        torch.testing.assert_close(ward.visual.images[column], both)


def test_10_a_class_of_few_images_has_no_prototype_and_refines_none() -> None:
    """Else the difference of two versions would show the mean of the few."""
    ward, labels = Ward(minimum=5), context_of((FIRST,)).labels
    ward.learn(FIRST, split=bars(FIRST, labels, count=9))
    assert ward.visual.counts.tolist() == [5, 0]
    before = ward.visual.images.clone()
    assert not before[1].any()
    ward.learn(FIRST, FIRST, split=bars(FIRST, labels, count=8, seed=3))
    assert torch.equal(ward.visual.images, before)
    assert ward.visual.counts.tolist() == [5, 0]


def test_10_what_a_site_does_not_share_does_not_outlive_its_task() -> None:
    ward = Ward(kept=False)
    assert ward.learn(FIRST).any()  # it served its own task
    assert not ward.visual.state_dict()
    assert not len(ward.visual.replayed(Step("train", 0, 0, 9, 0.0)))


@pytest.mark.parametrize("reading", Reading)
def test_each_reading_gives_images_between_black_and_white(reading: Reading) -> None:
    ward = Ward(reading=reading)
    ward.learn(FIRST)
    images = ward.visual.images
    assert images.shape == (2, 1, 16, 16)
    assert 0 <= images.min() < images.max() <= 1


def test_p1_decodes_and_p2_averages_decoded_images() -> None:
    context = context_of((FIRST,))
    data = data_of(context, bars(FIRST, context.labels))
    for reading in (Reading.DECODED, Reading.OUTPUTS):
        ward = Ward(reading=reading)
        ward.learn(FIRST)
        network = ward.network
        if reading is Reading.DECODED:
            expected = network.decode(class_means(network, data, (0, 1), network.features)[0])
        else:
            expected, _ = class_means(network, data, (0, 1), lambda x, n=network: n.decode(n.features(x)))
        torch.testing.assert_close(ward.visual.images, expected)


def test_9_maps_to_match_are_bright_distinctive_or_looked_at() -> None:
    bright, distinctive, looked = (Ward(map=kind).learn(SECOND) for kind in PrototypeMap)
    means = Ward()
    means.learn(SECOND)
    images = means.visual.images
    pool = torch.nn.functional.adaptive_avg_pool2d
    torch.testing.assert_close(bright, pool(images.mean(1), 2))
    torch.testing.assert_close(distinctive, pool((images - images.mean(0)).abs().mean(1), 2))
    torch.testing.assert_close(looked, means.visual.maps)


def test_one_class_alone_has_nothing_distinctive() -> None:
    split = bars(FIRST, context_of((FIRST,)).labels)
    only = TensorSplit(split.images[::2], split.targets[::2], split.ids[::2])
    assert not Ward(map=PrototypeMap.DISTINCTIVE).learn(FIRST, split=only).any()


def test_replayed_prototypes_take_turns_and_are_always_as_many() -> None:
    ward = Ward(replayed=2)
    ward.learn(FIRST)
    ward.learn(FIRST, SECOND)
    turns = [ward.visual.replayed(Step("train", 0, number, 99, 0.0)).tolist() for number in range(5)]
    assert [len(turn) for turn in turns] == [2] * 5
    assert sorted(column for turn in turns for column in turn) == sorted([0, 1, 2, 3, 4] * 2)
    few = Ward(replayed=4)
    few.learn(FIRST)
    assert len(few.visual.replayed(Step("train", 0, 0, 9, 0.0))) == 4


def test_groups_name_the_task_where_a_class_was_first_met() -> None:
    ward = Ward()
    ward.learn(FIRST)
    ward.learn(FIRST, FIRST)
    ward.learn(FIRST, FIRST, SECOND)
    assert ward.groups.of_class.tolist() == [0, 0, 1, 1, 1]
    torch.testing.assert_close(ward.groups.mean_over(torch.arange(5.0))[:3], torch.tensor([0.5, 0.5, 3.0]))
