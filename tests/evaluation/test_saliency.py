"""Grad-CAM against MONAI and the closed form; retention against naive forms; the rule for maps of zero."""

import pytest
import torch
from monai.metrics.regression import compute_ssim_and_cs
from monai.visualize import GradCAM
from torch import Tensor, nn

from anamnesis.evaluation import saliency


class Tiny(nn.Module):
    """A backbone with BatchNorm and dropout, and global average pooling with a linear head."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(6, 3)

    def features(self, images: Tensor) -> Tensor:
        return self.backbone(images)

    def classify(self, features: Tensor) -> Tensor:
        return self.head(features.mean((2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))


IMAGES = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(0))
COLUMNS = torch.tensor([0, 1, 2, 1, 0])


def maps_of(n: int, size: int, seed: int) -> Tensor:
    return torch.rand(n, size, size, generator=torch.Generator().manual_seed(seed))


def test_grad_cam_agrees_with_monai() -> None:
    network = Tiny().eval()
    monai = GradCAM(network, target_layers="backbone.2")
    theirs = torch.cat([monai.compute_map(IMAGES[i : i + 1], class_idx=int(COLUMNS[i])) for i in range(5)])[:, 0]
    assert torch.allclose(saliency.grad_cam(network, IMAGES, COLUMNS), theirs, atol=1e-6)


def test_grad_cam_is_the_closed_form_cam_for_pooling_and_a_linear_head() -> None:
    network = Tiny().eval()
    features = network.features(IMAGES)
    closed = torch.einsum("nc,nchw->nhw", network.head.weight[COLUMNS], features).relu() / features[0, 0].numel()
    assert torch.allclose(saliency.grad_cam(network, IMAGES, COLUMNS), closed, atol=1e-6)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_grad_cam_leaves_nothing_behind(mode: type) -> None:
    network = Tiny()
    network.backbone[1].eval()  # a frozen norm layer stays frozen
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with mode():
        maps = saliency.grad_cam(network, IMAGES.clone(), COLUMNS)
    assert not maps.requires_grad
    assert network.training
    assert not network.backbone[1].training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_grad_cam_of_a_batch_is_that_of_its_images() -> None:
    network = Tiny()  # in train mode: BatchNorm over the batch and dropout would differ
    together = saliency.grad_cam(network, IMAGES, COLUMNS)
    alone = torch.cat([saliency.grad_cam(network, IMAGES[i : i + 1], COLUMNS[i : i + 1]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_grad_cam_explains_the_class_that_was_asked_for() -> None:
    network = Tiny()
    assert not torch.allclose(
        saliency.grad_cam(network, IMAGES, COLUMNS), saliency.grad_cam(network, IMAGES, (COLUMNS + 1) % 3)
    )


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


def test_pairs_of_a_class_are_two_different_cases() -> None:
    columns = torch.tensor([2, 0, 2, 7, 0, 2])
    case, partner = saliency.same_class_pairs(columns)
    assert torch.equal(columns[case], columns[partner])
    assert not (case == partner).any()
    assert sorted(case.tolist()) == [0, 1, 2, 4, 5]  # the only case of class 7 has no partner
    assert sorted(partner.tolist()) == [0, 1, 2, 4, 5]


class Spot(nn.Module):
    """Its class 1 is the brightness of the upper left corner."""

    def features(self, images: Tensor) -> Tensor:
        return images

    def classify(self, features: Tensor) -> Tensor:
        score = features[:, 0, :4, :4].mean((1, 2)) * 8 - 2
        return torch.stack([-score, score], 1)


def test_faithful_maps_delete_fast_and_insert_fast() -> None:
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.1
    images[:, :, :4, :4] += 0.9
    right, wrong = torch.zeros(3, 16, 16), torch.zeros(3, 16, 16)
    right[:, :4, :4] = 1
    wrong[:, 12:, 12:] = 1
    ones = torch.ones(3, dtype=torch.long)
    network = Spot()
    assert (
        saliency.deletion_auc(network, images, ones, right) < saliency.deletion_auc(network, images, ones, wrong)
    ).all()
    assert (
        saliency.insertion_auc(network, images, ones, right) > saliency.insertion_auc(network, images, ones, wrong)
    ).all()


def test_a_common_part_of_all_logits_does_not_change_the_map_with_contrast_classes() -> None:
    network = Tiny().eval()
    before = saliency.grad_cam(network, IMAGES, COLUMNS, contrast_classes=(0, 1, 2))
    plain = saliency.grad_cam(network, IMAGES, COLUMNS)
    with torch.no_grad():
        network.head.weight.sub_(100.0)  # the softmax, and so every answer, stays as it was
    assert torch.allclose(saliency.grad_cam(network, IMAGES, COLUMNS, contrast_classes=(0, 1, 2)), before, atol=1e-3)
    assert not saliency.grad_cam(network, IMAGES, COLUMNS).any()
    assert plain.any()
