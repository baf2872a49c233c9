"""The contrastive loss against naive double loops, its invariances, and batches that could make it infinite."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.contrastive import ContrastOptions, Cosines, FocalContrast, focal_contrast
from anamnesis.methods.contrastive.focal_contrast import AnchorAverage, FocalReading, PrototypeNormalisation
from anamnesis.networks.class_prototypes import simplex_frame
from anamnesis.records import InputError

JOINT, SPLIT = PrototypeNormalisation.JOINT, PrototypeNormalisation.SPLIT
VERTICES = torch.tensor([3, 4, 3, 5, 4, 3, 0, 5, 1, 3])
IS_ANCHOR = VERTICES > 2  # the classes of the task; the others are replayed


def unit(count: int = 10, dimension: int = 9, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, dimension, dtype=torch.float64, generator=generator), dim=1)


def prototypes(count: int = 8, dimension: int = 9) -> Tensor:
    return simplex_frame(count, dimension, torch.Generator().manual_seed(1))


def mask_of(*vertices: int, count: int = 8) -> Tensor:
    return torch.isin(torch.arange(count), torch.tensor(vertices, dtype=torch.long))


def contrast(
    embeddings: Tensor,
    options: ContrastOptions,
    vertices: Tensor = VERTICES,
    is_anchor: Tensor = IS_ANCHOR,
    competing: Tensor | None = None,
    frame: Tensor | None = None,
) -> FocalContrast:
    frame = prototypes() if frame is None else frame
    competing = mask_of(*range(6)) if competing is None else competing
    return focal_contrast(Cosines.of(embeddings, frame), vertices, is_anchor, competing, options)


def total(result: FocalContrast) -> Tensor:
    return result.pairs + result.prototypes


def naive_loss(
    z: Tensor, frame: Tensor, vertices: list[int], is_anchor: list[bool], competing: list[bool], o: ContrastOptions
) -> float:
    """The formulas in the head of the module, one number at a time."""

    def term(cosine: float, partition: float) -> float:
        chance = math.exp(cosine / o.temperature) / partition
        base = 1 - (chance if o.focal is FocalReading.PROBABILITY else cosine)
        return -(base**o.gamma) * math.log(chance)

    count, pair_terms, own_terms, joint_terms = len(z), [], [], []
    for i in range(count):
        partition = sum(math.exp(float(z[i] @ z[k]) / o.temperature) for k in range(count) if k != i)
        partition += sum(math.exp(float(z[i] @ p) / o.temperature) for p, c in zip(frame, competing, strict=True) if c)
        if not is_anchor[i]:
            continue
        pairs = [term(float(z[i] @ z[j]), partition) for j in range(count) if j != i and vertices[i] == vertices[j]]
        own = o.prototype_weight * term(float(z[i] @ frame[vertices[i]]), partition) if o.prototype_weight else 0.0
        pair_terms += pairs
        own_terms.append(own)
        joint_terms.append((sum(pairs) + own) / (len(pairs) + o.prototype_weight))
    share = sum(is_anchor) / count if o.average is AnchorAverage.SAMPLES else 1.0
    if o.normalisation is JOINT:
        return o.scale * share * sum(joint_terms) / len(joint_terms)
    return o.scale * share * (sum(pair_terms) / len(pair_terms) + sum(own_terms) / len(own_terms))


OPTIONS = [
    ContrastOptions(normalisation=JOINT),
    ContrastOptions(normalisation=SPLIT),
    ContrastOptions(normalisation=JOINT, gamma=4.0, temperature=0.1, prototype_weight=3.0),
    ContrastOptions(normalisation=SPLIT, gamma=1.0, focal=FocalReading.COSINE, prototype_weight=0.5),
    ContrastOptions(normalisation=JOINT, gamma=0.0, average=AnchorAverage.SAMPLES, scale=7.14),
    ContrastOptions(normalisation=SPLIT, prototype_weight=0.0, average=AnchorAverage.SAMPLES),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_it_is_the_formula_of_a_double_loop(options: ContrastOptions) -> None:
    z, frame = unit(), prototypes()
    competing = mask_of(*range(6))
    expected = naive_loss(z, frame, VERTICES.tolist(), IS_ANCHOR.tolist(), competing.tolist(), options)
    assert total(contrast(z, options)).item() == pytest.approx(expected, rel=1e-12)
    single = total(contrast(z.float(), options))
    assert single.dtype is torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("options", OPTIONS)
def test_its_gradient_is_that_of_finite_differences(options: ContrastOptions) -> None:
    z = unit(seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: total(contrast(value, options)), z)


def test_gamma_0_without_prototypes_is_supervised_contrastive_learning() -> None:
    z, everyone = unit(), torch.ones(10, dtype=torch.bool)
    plain = ContrastOptions(gamma=0.0, prototype_weight=0.0, normalisation=JOINT)
    counts_differ, counts_equal = torch.tensor([0] * 6 + [1] * 4), torch.tensor([0, 1] * 5)

    def supervised_contrastive(vertices: Tensor) -> float:
        """Khosla et al., NeurIPS 2020, equation 2, as the mean over anchors."""
        losses = []
        for i in range(10):
            rest = [k for k in range(10) if k != i]
            normaliser = sum(math.exp(float(z[i] @ z[k]) / 0.5) for k in rest)
            positives = [k for k in rest if vertices[k] == vertices[i]]
            terms = [math.log(math.exp(float(z[i] @ z[k]) / 0.5) / normaliser) for k in positives]
            losses.append(-sum(terms) / len(terms))
        return sum(losses) / len(losses)

    for vertices, options, is_equal in (
        (counts_differ, plain, True),
        (counts_differ, replace(plain, normalisation=SPLIT), False),  # each pair counts alike, not each anchor
        (counts_equal, replace(plain, normalisation=SPLIT), True),
    ):
        result = contrast(z, options, vertices, everyone, competing=mask_of())
        assert math.isclose(total(result).item(), supervised_contrastive(vertices), rel_tol=1e-12) is is_equal
        assert result.pair_focal_weight == result.prototype_focal_weight == 1


@pytest.mark.parametrize("normalisation", PrototypeNormalisation)
def test_no_permutation_and_no_common_rotation_changes_it(normalisation: PrototypeNormalisation) -> None:
    options, z, frame = ContrastOptions(normalisation=normalisation), unit(), prototypes()
    expected = total(contrast(z, options))
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(total(contrast(z[order], options, VERTICES[order], IS_ANCHOR[order])), expected)
    rotation = torch.linalg.qr(unit(9, 9)).Q
    torch.testing.assert_close(total(contrast(z @ rotation, options, frame=frame @ rotation)), expected)
    assert not torch.allclose(total(contrast(z @ rotation, options)), expected)


def test_more_old_prototypes_are_more_negatives() -> None:
    options = ContrastOptions(gamma=0.0)
    losses = [
        total(contrast(unit(), options, competing=mask_of(3, 4, 5, *old))).item() for old in ((), (0,), (0, 1, 2))
    ]
    assert losses == sorted(set(losses))


def test_masked_prototypes_are_as_if_they_were_cut_off() -> None:
    options, frame = ContrastOptions(), prototypes()
    sliced = contrast(unit(), options, competing=mask_of(*range(6), count=6), frame=frame[:6])
    torch.testing.assert_close(total(contrast(unit(), options)), total(sliced), rtol=1e-13, atol=0)


@pytest.mark.parametrize("options", OPTIONS[:2])
def test_replayed_samples_are_no_anchors_but_negatives_of_them(options: ContrastOptions) -> None:
    z = unit().requires_grad_()
    total(contrast(z, options)).backward()
    assert z.grad is not None
    assert (z.grad[~IS_ANCHOR].norm(dim=1) > 0).all()
    moved = torch.where(IS_ANCHOR[:, None], unit(), unit(seed=5))
    assert not torch.allclose(total(contrast(moved, options)), total(contrast(unit(), options)))
    # Without an anchor in their own class, replayed samples are in the partitions alone: none is pulled to a prototype.
    frame = prototypes()
    frame[:3] = prototypes()[:3].flip(0)
    only_new = mask_of(3, 4, 5)
    first, second = (total(contrast(unit(), options, competing=only_new, frame=each)) for each in (prototypes(), frame))
    assert torch.equal(first, second)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("views", [1, 2])
def test_batches_of_one_class_of_single_samples_and_without_anchors_are_finite(
    options: ContrastOptions, views: int
) -> None:
    alone, same = torch.tensor([0, 1, 2, 3, 4]), torch.full((5,), 2)
    everyone, nobody = torch.ones(5 * views, dtype=torch.bool), torch.zeros(5 * views, dtype=torch.bool)
    for vertices, is_anchor in ((alone, everyone), (same, everyone), (alone, nobody)):
        for embeddings in (unit(5), torch.ones(5, 9, dtype=torch.float64) / 3):
            z = embeddings.repeat(views, 1).requires_grad_()
            result = contrast(z, options, vertices.repeat(views), is_anchor)
            total(result).backward()
            assert total(result).isfinite()
            assert z.grad is not None
            assert z.grad.isfinite().all()
            assert (total(result) == 0) == (
                not is_anchor.any() or (not options.prototype_weight and views == 1 and vertices is alone)
            )
    single_sample = contrast(unit(1), options, alone[:1], everyone[:1], competing=mask_of(0))
    assert total(single_sample).isfinite()


def test_with_a_shared_partition_the_focal_weight_is_inert_even_at_collapse() -> None:
    frame, vertices = prototypes(), torch.tensor([3, 4]).repeat_interleave(128)
    collapsed = frame[vertices]
    everyone = torch.ones(256, dtype=torch.bool)
    result = contrast(collapsed, ContrastOptions(gamma=4.0), vertices, everyone, competing=mask_of(3, 4))
    assert 0.97 < result.pair_focal_weight < 0.98  # (1 - 0.007)^4
    by_cosine = ContrastOptions(gamma=4.0, focal=FocalReading.COSINE)
    result = contrast(collapsed, by_cosine, vertices, everyone, competing=mask_of(3, 4))
    assert result.pair_focal_weight < 1e-12
    assert result.prototype_focal_weight < 1e-12


def test_without_its_gradient_the_focal_weight_is_a_constant_factor() -> None:
    options = ContrastOptions(gamma=2.0, temperature=0.1)
    values, gradients = [], []
    for has_gradient in (True, False):
        z = unit().requires_grad_()
        value = total(contrast(z, replace(options, focal_gradient=has_gradient)))
        value.backward()
        values.append(value)
        gradients.append(z.grad)
    assert values[0] == values[1]
    assert not torch.allclose(*gradients)


def test_an_encoder_in_bfloat16_changes_it_by_less_than_a_hundredth() -> None:
    features = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(32, 9, generator=torch.Generator().manual_seed(1))
    vertices, everyone = torch.arange(64) % 4, torch.ones(64, dtype=torch.bool)
    full, half = (
        contrast(
            functional.normalize(values @ weights, dim=1), ContrastOptions(), vertices, everyone, mask_of(0, 1, 2, 3)
        )
        for values in (features, features.bfloat16().float())
    )
    assert total(half).item() == pytest.approx(total(full).item(), rel=0.01)


def test_cosines_are_never_in_half_precision() -> None:
    z = unit().float()
    with torch.autocast("cpu", torch.bfloat16):
        cosines = Cosines.of(z, prototypes())
    assert torch.equal(cosines.samples, Cosines.of(z, prototypes()).samples)
    assert Cosines.of(z.bfloat16(), prototypes()).prototypes.dtype is torch.float32


def test_a_gamma_with_an_infinite_gradient_is_refused() -> None:
    with pytest.raises(InputError, match=r"fnc2\.contrast\.gamma: expected 0, or 1 or more, found 0\.5"):
        ContrastOptions(gamma=0.5)
    with pytest.raises(InputError, match=r"fnc2\.contrast\.temperature: expected a number above 0"):
        ContrastOptions(temperature=0.0)
