"""Predictions of volumes, window by window."""

import torch
from builders.learning import NoOptions
from torch import Tensor, nn

from anamnesis.methods import Data, Method, Prediction, PredictionRequest, Stage, TaskContext, TrainingStep
from anamnesis.methods.base import Batch
from anamnesis.records import Configuration, NetworkSettings, PatchSettings
from anamnesis.training.patches import crop_window, windows_of
from anamnesis.updates.model import LoadedModel, VersionDescription
from anamnesis.updates.site_features import SiteFeatures
from anamnesis.updates.window_predictions import predict_logits, predict_masks

SPEC = NetworkSettings(size=(4, 8, 8), patches=PatchSettings((8, 16, 12)))


class Answering(Method[NoOptions]):
    """Answers by the mean grey value of an image, and voxel by voxel; it takes patches of one size alone."""

    name = "answering"

    def build(self, spec: NetworkSettings, seed: int) -> nn.Module:
        return nn.Identity()

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        return []

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        assert tuple(images.shape[2:]) == SPEC.size
        means = images.mean((1, 2, 3, 4))
        return Prediction(torch.stack([means, -means], 1), mask_logits=torch.cat([images, 1 - images], 1))


def model() -> LoadedModel:
    description = VersionDescription(Configuration("finetune", {}, SPEC))
    return LoadedModel(Answering(NoOptions(), SPEC, 0), description, SiteFeatures(1))


def test_a_volume_has_the_mean_of_the_logits_of_its_windows() -> None:
    volumes = torch.rand(3, 1, 8, 16, 12)
    logits = predict_logits(model(), {"CT": volumes}, PredictionRequest())
    windows = [crop_window(volumes, window).mean((1, 2, 3, 4)) for window in windows_of((8, 16, 12), SPEC.size)]
    torch.testing.assert_close(logits[:, 0], torch.stack(windows).mean(0))
    assert len(windows) == 18


def test_the_mask_of_a_volume_is_put_together_from_windows() -> None:
    volumes = torch.rand(2, 1, 8, 16, 12)
    mask_logits = predict_masks(model(), {"CT": volumes}, PredictionRequest())
    torch.testing.assert_close(mask_logits, torch.cat([volumes, 1 - volumes], 1), atol=1e-5, rtol=0)
