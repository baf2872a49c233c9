"""Random features: of the seed alone, never trained, never stored."""

import torch

from anamnesis.networks.frozen import RandomFeatures


def test_they_depend_on_the_seed_alone_and_are_not_stored() -> None:
    images = torch.rand(3, 1, 64, 64)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (RandomFeatures(1, seed, width=50) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert one(images).shape == (3, 50)
    assert torch.equal(one(images), same(images))
    assert not torch.equal(one(images), other(images))
    assert not list(one.parameters())
    assert not one.state_dict()


def test_an_image_gives_the_same_features_in_any_company() -> None:
    images, features = torch.rand(5, 3, 16, 16), RandomFeatures(3, 0, width=20)
    torch.testing.assert_close(features(images)[2:3], features(images[2:3]))
    assert not features(images).requires_grad
