"""Dark experience replay ++: a reservoir of real images is shown again, with their labels and their old logits.

Buzzega et al., NeurIPS 2020 (arXiv 2004.07211), equation 6: cross-entropy on the new batch, alpha times the squared
distance to stored logits on one draw from the buffer, beta times cross-entropy on another. Defaults are the authors'
for Seq-CIFAR-10 with 200 images. Reconstructed for a growing head: columns newer than a stored image do not count for
it. As in the authors' code, every pass over the data feeds the reservoir.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.base import Batch, Data, MethodCapabilities, StateDict, TaskContext
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.register import register
from anamnesis.methods.replay.replay_buffer import ReplayBuffer, StoredSamples
from anamnesis.methods.stage import Stage, TrainingStep
from anamnesis.records import NetworkSettings
from anamnesis.records.option_checks import LARGEST_COUNT, check_bounds, count_between, not_negative
from anamnesis.training.augmentation import Augmentation


@dataclass(frozen=True, slots=True)
class DERPPOptions:
    """Options of ``derpp``.

    Attributes:
        buffer: number of stored images.
        alpha: weight of the stored logits.
        beta: weight of the stored labels.
    """

    buffer: int = count_between(1, LARGEST_COUNT, 200)
    alpha: float = not_negative(0.1)
    beta: float = not_negative(0.5)

    def __post_init__(self) -> None:
        check_bounds("derpp", self)


@register("derpp", DERPPOptions)
class DERPP(ClassificationMethod[DERPPOptions]):
    """Cross-entropy on new images, and replay of stored images with their old logits.

    State: ``buffer.<site>``, with eight-bit images.
    """

    capabilities = MethodCapabilities(stores_exemplars=True)
    notes = ("It stores real images of patients in every version: they leave their hospital with it.",)

    def __init__(self, options: DERPPOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._buffer = ReplayBuffer(options.buffer)

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head.

        The site's earlier images leave the buffer: they are offered again, with their current labels.
        """
        self._context, device = context, self.network.head.weight.device
        self._buffer.to(device)
        self._buffer.remove_site(context.site)
        return super().begin_task(context, data)

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns cross-entropy and, when the buffer is not empty, the terms of replay whose weight is not 0.

        All images are one batch of the network: batches of one site each would have statistics of their own, and with
        batch normalisation a model that learned so answers wrongly in evaluation.
        """
        weights = {"logits": self.options.alpha, "labels": self.options.beta} if len(self._buffer) else {}
        drawn = {purpose: self._draw_samples(purpose, step) for purpose, weight in weights.items() if weight}
        images = [batch.images, *(samples.images for samples in drawn.values())]
        outputs = self.network(torch.cat(images)).split([len(part) for part in images])
        logits, replayed_logits = outputs[0], dict(zip(drawn, outputs[1:], strict=True))
        terms = {"classification": self.cross_entropy(logits, batch.classes)}
        if "logits" in drawn:
            terms |= self._dark_term(drawn["logits"], replayed_logits["logits"])
        if "labels" in drawn:
            replayed_loss = self.cross_entropy(replayed_logits["labels"], drawn["labels"].targets)
            terms["replay"] = self.options.beta * replayed_loss
        self._batch_to_store = (batch, logits.detach())
        return terms

    def _dark_term(self, samples: StoredSamples, logits: Tensor) -> dict[str, Tensor]:
        """Returns the distance to the stored logits, if a sample has any."""
        has_logit = self._has_valid_logit(samples)
        if not has_logit.any():
            return {}
        distance = functional.mse_loss(logits[:, : samples.logits.shape[1]][has_logit], samples.logits[has_logit])
        return {"dark": self.options.alpha * distance}

    def _has_valid_logit(self, samples: StoredSamples) -> Tensor:
        """Returns [B, K]: the column existed when the sample was stored, and the site's own past did not teach it."""
        columns = torch.arange(samples.logits.shape[1], device=samples.logits.device)
        is_of_others = torch.isin(columns, torch.tensor(self._context.other_columns, device=columns.device))
        is_current = self._buffer.is_of_site(samples, self._context.site)
        return (columns < samples.class_counts[:, None]) & (is_of_others | is_current[:, None])

    def after_step(self, step: TrainingStep) -> None:
        """Offers the clean images of the batch to the reservoir, with the logits of its views before the step."""
        batch, logits = self._batch_to_store
        assert batch.clean_images is not None  # it is of the training split
        generator = self._context.streams.generator("reservoir", step.stage, step.step_index)
        self._buffer.offer(batch.clean_images, batch.classes, logits, self._context.site, generator)

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Drops everything except the buffer."""
        del self._batch_to_store, self._context

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the stored images of ``site``; the weights are not unlearned."""
        super().forget_site(site, kept_columns)
        self._buffer.forget_site(site, kept_columns)

    def state_dict(self) -> StateDict:
        """Returns the network and the buffer."""
        return super().state_dict() | self._buffer.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and, where the base version has one, the buffer."""
        super().load_state_dict(state, class_count)
        self._buffer.load_state_dict(state, self.network.head.weight.device)

    def _draw_samples(self, purpose: str, step: TrainingStep) -> StoredSamples:
        """Returns stored samples, a batch of them, augmented like new images."""
        generator = self._context.streams.generator("replay", purpose, step.stage, step.step_index)
        samples = self._buffer.draw(self._context.settings.batch_size, generator)
        return samples.augment(Augmentation(), generator) if self._context.settings.augment else samples
