"""Maps against MONAI and closed forms; faithfulness; retention against naive forms; the rule for maps of zero."""

from collections.abc import Sequence

import pytest
import torch
from monai.metrics.regression import compute_ssim_and_cs
from monai.visualize import GradCAM
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.evaluation import saliency
from anamnesis.methods import Branch
from anamnesis.records import Metric


class Tiny(nn.Module):
    """A method: a backbone with BatchNorm and dropout; a linear head on the means of a grid of cells."""

    def __init__(self, grid: int = 1, learns: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5))
        self.head, self.grid, self.learns = nn.Linear(6 * grid * grid, 3), grid, learns

    @property
    def network(self) -> nn.Module:
        return self

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        return (Branch("network", self.backbone(images), self.learns),)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        return self.head(functional.adaptive_avg_pool2d(features[0], self.grid).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.answer_from([self.backbone(images)])


def maps_by(method: Tiny, images: Tensor, columns: Tensor, task_classes: tuple[int, ...] = ()) -> Tensor:
    maps = saliency.explain_classes(method, images, columns, task_classes)
    assert maps is not None
    return maps.whole


IMAGES = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(0))
COLUMNS = torch.tensor([0, 1, 2, 1, 0])


def maps_of(n: int, size: int, seed: int) -> Tensor:
    return torch.rand(n, size, size, generator=torch.Generator().manual_seed(seed))


def test_on_a_mean_and_a_linear_head_the_map_is_the_grad_cam_of_monai() -> None:
    network = Tiny().eval()
    monai = GradCAM(network, target_layers="backbone.2")
    theirs = torch.cat([monai.compute_map(IMAGES[i : i + 1], class_idx=int(COLUMNS[i])) for i in range(5)])[:, 0]
    assert torch.allclose(maps_by(network, IMAGES, COLUMNS), theirs, atol=1e-6)


def test_on_a_grid_each_pixel_has_the_weight_of_its_cell_and_the_evidence_adds_up_to_the_answer() -> None:
    network = Tiny(grid=2).eval()
    branches = network.explained_features(IMAGES)
    features = branches[0].features
    (evidence,) = saliency.class_evidence(branches, network, COLUMNS, ())
    cell_weights = network.head.weight[COLUMNS].view(5, 6, 2, 2)
    closed_form = (functional.interpolate(cell_weights, scale_factor=4) * features).sum(1) / 16  # cells of 4 x 4 pixels
    assert torch.allclose(evidence, closed_form, atol=1e-6)
    logits = network(IMAGES).gather(1, COLUMNS[:, None])[:, 0]
    assert torch.allclose(evidence.sum((1, 2)), logits - network.head.bias[COLUMNS], atol=1e-5)
    averaged = GradCAM(network, target_layers="backbone.2").compute_map(IMAGES[:1], class_idx=0)[:, 0]
    assert not torch.allclose(averaged, evidence[:1].relu(), atol=1e-3)  # of weights that no pixel has


class TwoBranches(Tiny):
    """Reads the same features twice: as they are, which learns, and frozen at half the resolution."""

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        (branch,) = super().explained_features(images)
        return branch, Branch("frozen", functional.avg_pool2d(branch.features, 2), learns=False)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        return super().answer_from(features[:1]) + 3 * super().answer_from(features[1:])


def test_branches_add_up_by_what_each_contributes_and_only_those_that_learn_are_compared() -> None:
    single = saliency.explain_classes(Tiny(), IMAGES, COLUMNS, (0, 1, 2))
    both = saliency.explain_classes(TwoBranches(), IMAGES, COLUMNS, (0, 1, 2))
    frozen = saliency.explain_classes(Tiny(learns=False), IMAGES, COLUMNS, (0, 1, 2))
    assert torch.allclose(both.learned, single.learned, atol=1e-6)  # the frozen branch has no part in it
    assert both.whole.shape == (5, 8, 8)  # of the finer branch
    assert 0.2 < both.learned_share.mean() < 0.35  # about a quarter: 1 of 1 + 3
    assert frozen.learned is None
    assert torch.equal(frozen.whole, single.whole)
    assert not frozen.learned_share.any()


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_explaining_leaves_nothing_behind(mode: type) -> None:
    network = Tiny()
    network.backbone[1].eval()  # a frozen norm layer stays frozen
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with mode():
        maps = maps_by(network, IMAGES.clone(), COLUMNS)
    assert not maps.requires_grad
    assert network.training
    assert not network.backbone[1].training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_maps_of_a_batch_are_those_of_its_images_and_of_the_class_that_was_asked_for() -> None:
    network = Tiny()  # in train mode: BatchNorm over the batch and dropout would differ
    together = maps_by(network, IMAGES, COLUMNS)
    alone = torch.cat([maps_by(network, IMAGES[i : i + 1], COLUMNS[i : i + 1]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-6)
    assert not torch.allclose(together, maps_by(network, IMAGES, (COLUMNS + 1) % 3))


def test_unchanged_maps_are_kept_wholly() -> None:
    maps = maps_of(6, 8, 0)
    for name, metric in saliency.map_retention(maps, maps * 3).items():  # the scale of a map means nothing
        assert float(metric.value) == pytest.approx(1.0, abs=1e-6), name
        assert metric.n == 6


def test_random_maps_reach_the_random_floor() -> None:
    metrics = saliency.map_retention(maps_of(600, 16, 1), maps_of(600, 16, 2))
    floor = saliency.random_iou(256)
    print(f"IoU of random 16 x 16 maps: {metrics['IoU'].value}, expected {floor:.3f}; limit {0.2 / 1.8:.3f}")
    assert float(metrics["IoU"].low) <= floor <= float(metrics["IoU"].high)
    assert float(metrics["Spearman"].value) == pytest.approx(0, abs=0.01)
    assert metrics["Cosine"].value > metrics["SSIM"].value  # positive maps always point the same way: no floor of 0


def test_the_floor_is_exact_for_small_maps_and_a_ninth_for_large_ones() -> None:
    assert saliency.random_iou(5) == pytest.approx(0.2)  # one of five pixels
    assert saliency.random_iou(224 * 224) == pytest.approx(0.2 / 1.8, abs=1e-5)


def test_iou_by_hand() -> None:
    before = torch.zeros(1, 5, 5)
    before[0, 0] = torch.arange(5.0) + 1
    after = torch.zeros(1, 5, 5)
    after[0, :, 0] = torch.arange(5.0) + 1
    assert saliency.iou(before, after).item() == pytest.approx(1 / 9)


def test_pixels_without_evidence_are_never_salient() -> None:
    before, after = torch.zeros(1, 10, 10), torch.zeros(1, 10, 10)
    before[0, 0, 0] = after[0, 9, 9] = 1.0  # one pixel each, far fewer than 20 of 100
    assert saliency.iou(before, after).item() == 0


def test_maps_of_zero_follow_the_rule() -> None:
    before, after = maps_of(4, 8, 0), maps_of(4, 8, 0)
    before[0] = 0  # nothing to keep: left out
    after[1] = 0  # everything lost: 0
    for metric in saliency.map_retention(before, after).values():
        assert metric.n == 3
        assert float(metric.value) == pytest.approx(2 / 3, abs=1e-6)
    assert saliency.map_retention(torch.zeros(2, 4, 4), after[:2, :4, :4]) == {}


def test_constant_maps_are_finite() -> None:
    for metric in saliency.map_retention(torch.ones(3, 8, 8), maps_of(3, 8, 0)).values():
        assert metric.value.is_finite()


def test_equal_maps_give_equal_digits() -> None:
    before, after = maps_of(9, 8, 0), maps_of(9, 8, 1)
    assert saliency.map_retention(before, after) == saliency.map_retention(before, after)


@pytest.mark.parametrize("size", [4, 7, 8, 16])
def test_ssim_agrees_with_monai(size: int) -> None:
    before, after = ((maps / maps.amax((1, 2), keepdim=True)) for maps in (maps_of(5, size, 0), maps_of(5, size, 1)))
    window = min(11, size - 1 + size % 2)
    theirs, _ = compute_ssim_and_cs(
        before[:, None],
        after[:, None],
        spatial_dims=2,
        kernel_size=(window,) * 2,
        kernel_sigma=(1.5, 1.5),
        data_range=1,
    )
    assert torch.allclose(saliency.ssim(before, after), theirs.mean((1, 2, 3)), atol=1e-4)


def test_spearman_sees_order_only() -> None:
    maps = maps_of(3, 6, 0)
    assert torch.allclose(saliency.spearman(maps, maps**5), torch.ones(3, dtype=torch.double))
    assert torch.allclose(saliency.spearman(maps, 1 - maps), -torch.ones(3, dtype=torch.double))


def test_the_floor_of_a_class_is_measured_between_patients() -> None:
    maps = maps_of(40, 8, 3)
    columns = torch.arange(40) % 2
    by_case = saliency.same_class_iou(maps, columns, [str(number) for number in range(40)])
    pairs = [
        float(saliency.iou(maps[i : i + 1], maps[j : j + 1]))
        for i in range(40)
        for j in range(40)
        if i != j and columns[i] == columns[j]
    ]
    assert float(by_case["IoUSameClass"].value) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    expected = float(torch.tensor(pairs, dtype=torch.double).quantile(0.95))
    assert float(by_case["IoUSameClass95"].value) == pytest.approx(expected, abs=1e-6)
    maps[2::4], maps[3::4] = maps[::4], maps[1::4]  # two equal maps of each patient and class: no pair of theirs counts
    by_patient = saliency.same_class_iou(maps, columns, [str(number // 4) for number in range(40)])
    assert by_patient["IoUSameClass95"].value < 0.5
    assert saliency.same_class_iou(maps, columns, ["one"] * 40) == {}  # no second patient


class Spot(Tiny):
    """Its class 1 is the brightness of the upper left corner."""

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        return (Branch("network", images, learns=True),)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        score = features[0][:, 0, :4, :4].mean((1, 2)) * 8 - 2
        return torch.stack([-score, score], 1)


def test_the_maps_of_a_sound_model_are_faithful_and_random_ones_are_not() -> None:
    images = torch.rand(40, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.1
    images[:, :, :4, :4] += 0.9
    ones = torch.ones(40, dtype=torch.long)
    centre = torch.zeros(40, 16, 16)
    centre[:, 6:10, 6:10] = 1
    network, patients = Spot(), [str(number) for number in range(40)]
    own_maps = saliency.explain_classes(network, images, ones, (0, 1)).whole

    def metrics_by(maps: Tensor) -> dict[str, Metric]:
        def answer(frames: Tensor) -> Tensor:
            return network.answer_from([frames]).softmax(1)

        return saliency.faithfulness(answer, images, ones, maps, patients)

    own = metrics_by(own_maps)
    assert saliency.is_faithful(own)
    difference = own["DeletionRandom"].value - own["Deletion"].value
    assert float(own["DeletionAdvantage"].value) == pytest.approx(float(difference), abs=2e-6)
    for unfaithful in (maps_of(40, 16, 1), own_maps.roll((8, 8), (1, 2)), centre, torch.zeros(40, 16, 16)):
        assert not saliency.is_faithful(metrics_by(unfaithful))


def test_a_common_part_of_all_logits_does_not_change_the_map() -> None:
    network = Tiny().eval()
    before = maps_by(network, IMAGES, COLUMNS, (0, 1, 2))
    plain = maps_by(network, IMAGES, COLUMNS)
    with torch.no_grad():
        network.head.weight.sub_(100.0)  # the softmax, and so every answer, stays as it was
    assert torch.allclose(maps_by(network, IMAGES, COLUMNS, (0, 1, 2)), before, atol=1e-3)
    assert not maps_by(network, IMAGES, COLUMNS).any()
    assert plain.any()
