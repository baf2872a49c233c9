"""Random features: of the seed alone, never trained, stored with the version."""

import torch

from anamnesis.networks.random_features import RandomBackbone, RandomFeatures


def test_they_depend_on_the_seed_alone_and_come_back_from_a_state() -> None:
    images = torch.rand(3, 1, 64, 64)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, same, different = (RandomFeatures(1, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert first(images).shape == (3, first.width_out)
    assert torch.equal(first(images), same(images))
    assert not torch.equal(first(images), different(images))
    different.load_state_dict(first.state_dict())
    assert torch.equal(first(images), different(images))


def test_nothing_in_them_learns_and_no_image_sees_another() -> None:
    images, features = torch.rand(5, 3, 16, 16), RandomFeatures(3, 0, (8, 8), grid=2)
    assert not list(features.parameters())
    assert not features(images).requires_grad
    torch.testing.assert_close(features(images)[2:3], features(images[2:3]))


def test_brightness_alone_says_nothing() -> None:
    image, features = torch.rand(1, 1, 16, 16), RandomBackbone(1, 0, (8,))
    dark, bright = (features(0.4 * image + shift)[:, :, 2:-2, 2:-2] for shift in (0.0, 0.5))
    flat = features(torch.full((1, 1, 16, 16), 0.9))[:, :, 2:-2, 2:-2]
    assert (bright - dark).abs().mean() < 0.2 * dark.abs().mean()
    assert flat.std() < 0.2 * dark.std()
