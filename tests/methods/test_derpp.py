"""Dark experience replay ++: both terms by hand, what is stored, and that it keeps what it would forget."""

from dataclasses import replace

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of

from anamnesis.methods import PredictionRequest, TrainingStep
from anamnesis.methods.derpp import DERPP, DERPPOptions
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.records import Configuration, InputError, Split, TrainingSettings
from anamnesis.training import TensorSplit, precision_for, train

PRECISION = precision_for(Configuration("derpp"), "cpu")
STEP = TrainingStep("train", 0, step_index=0, total_steps=1, learning_rate=1e-3)
PLAIN = TrainingSettings(epochs=6, batch_size=8, learning_rate=5e-3, augment=False)


def learn(method, *tasks, settings=PLAIN, count=20):
    context = context_of(tasks, settings)
    split = bar_split(tasks[-1], context.labels, count)
    if len(tasks) > 1:  # the bars are horizontal at the second site
        split = TensorSplit.of_images(split.images.transpose(2, 3).contiguous(), split.classes, split.sample_ids)
    train(method, context, data_of(context, split), PRECISION)
    return split


def test_both_terms_are_the_formula_and_unknown_columns_do_not_count() -> None:
    method = DERPP(DERPPOptions(buffer=6, alpha=0.3, beta=0.7), SPEC, seed=0)
    learn(method, FIRST)
    context = context_of((FIRST, SECOND), PLAIN)
    data = data_of(context, bar_split(SECOND, context.labels))
    method.begin_task(context, data)
    terms = method.loss(next(data(Split.TRAIN)), STEP)
    stored = method._buffer.samples  # six images, and a batch draws eight: all of them
    answers = method.network(stored.images.float() / 255)
    assert stored.class_counts.tolist() == [2] * 6
    expected = 0.3 * (answers[:, :2] - stored.logits).square().mean()
    assert terms["dark"].item() == pytest.approx(expected.item(), rel=1e-4)
    expected = 0.7 * torch.nn.functional.cross_entropy(answers, stored.targets)
    assert terms["replay"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_new_and_replayed_images_share_the_statistics_of_one_batch() -> None:
    """With statistics of its own for each site, a model answers otherwise in evaluation than it learned."""
    method = DERPP(DERPPOptions(buffer=8, alpha=0.0), replace(SPEC, options={"width": 8, "norm": "batch"}), seed=0)
    learn(method, FIRST)
    context = context_of((FIRST, SECOND), PLAIN)
    data = data_of(context, bar_split(SECOND, context.labels))
    method.begin_task(context, data)
    batch, replayed = next(data(Split.TRAIN)), method._buffer.samples
    answers = method.network.train()(torch.cat([batch.images, replayed.images.float() / 255]))
    terms = method.loss(batch, STEP)
    assert set(terms) == {"classification", "replay"}  # no pass through the network for a weight of 0
    expected = torch.nn.functional.cross_entropy(answers[: len(batch.images)], batch.classes)
    assert terms["classification"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_buffer_holds_clean_images_of_both_sites_as_bytes() -> None:
    method = DERPP(DERPPOptions(buffer=16), SPEC, seed=0)
    settings = TrainingSettings(epochs=2, batch_size=8)
    sites = [learn(method, FIRST, settings=settings), learn(method, FIRST, SECOND, settings=settings)]
    samples = method._buffer.samples
    assert samples.images.dtype is torch.uint8
    assert method._buffer.offered_count == 2 * 2 * 20
    clean = torch.cat([(site.images.float() * 255).round().byte() for site in sites]).flatten(1)
    targets = torch.cat([site.classes for site in sites]).tolist()
    target_by_image = {tuple(image): target for image, target in zip(clean.tolist(), targets, strict=True)}
    assert [target_by_image[tuple(image)] for image in samples.images.flatten(1).tolist()] == samples.targets.tolist()
    assert {int(target) // 2 > 0 for target in samples.targets} == {False, True}


def test_it_keeps_what_fine_tuning_forgets() -> None:
    accuracies = {}
    for method in (DERPP(DERPPOptions(buffer=20), SPEC, seed=0), Finetune(FinetuneOptions(), SPEC, seed=0)):
        old = learn(method, FIRST, count=40)
        learn(method, FIRST, SECOND, count=40)
        answers = method.predict(old.images.float(), PredictionRequest()).logits.argmax(1)
        accuracies[method.name] = (answers == old.classes).float().mean()
    assert accuracies["derpp"] > accuracies["finetune"] + 0.3


def test_without_weights_it_is_fine_tuning_and_bad_options_are_refused() -> None:
    nothing, plain = DERPP(DERPPOptions(alpha=0, beta=0), SPEC, seed=0), Finetune(FinetuneOptions(), SPEC, seed=0)
    for method in (nothing, plain):
        learn(method, FIRST)
        learn(method, FIRST, SECOND)
    state = plain.network.state_dict()
    for name, value in nothing.network.state_dict().items():
        torch.testing.assert_close(value, state[name])
    with pytest.raises(InputError, match=r"derpp\.buffer: expected 1 or more, at most 1e\+07, found 0"):
        DERPPOptions(buffer=0)
