"""GDumb: it learns from the buffer alone, and every update starts from random weights."""

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of

from anamnesis.methods import PredictionRequest
from anamnesis.methods.gdumb import GDumb, GDumbOptions
from anamnesis.networks import Classifier
from anamnesis.records import Configuration, InputError, TrainingSettings
from anamnesis.training import TensorSplit, precision_for, train

PRECISION = precision_for(Configuration("gdumb"), "cpu")
SETTINGS = TrainingSettings(epochs=8, batch_size=8, learning_rate=5e-3, augment=False)


def learn(method, *tasks, count=40):
    context = context_of(tasks, SETTINGS)
    split = bar_split(tasks[-1], context.labels, count)
    if len(tasks) > 1:  # the bars are horizontal at the second site
        split = TensorSplit.of_images(split.images.transpose(2, 3).contiguous(), split.classes, split.sample_ids)
    train(method, context, data_of(context, split), PRECISION)
    return split


def test_each_update_starts_from_the_random_start_on_a_balanced_buffer() -> None:
    method = GDumb(GDumbOptions(buffer=20), SPEC, seed=0)
    learn(method, FIRST)
    context = context_of((FIRST, SECOND), SETTINGS)
    method.begin_task(context, data_of(context, bar_split(SECOND, context.labels, 40)))
    assert method._buffer.samples.targets.bincount().tolist() == [4] * 5
    start = Classifier(SPEC, 0).backbone.state_dict()
    assert all(torch.equal(value, start[name]) for name, value in method.network.backbone.state_dict().items())
    assert method.network.head.weight.shape[0] == 5


def test_it_remembers_by_its_buffer_and_by_nothing_else() -> None:
    method = GDumb(GDumbOptions(buffer=20), SPEC, seed=0)
    first = learn(method, FIRST)
    learn(method, FIRST, SECOND)
    answers = method.predict(first.images.float(), PredictionRequest()).logits.argmax(1)
    assert (answers == first.classes).float().mean() > 0.8
    emptied = GDumb(GDumbOptions(buffer=20), SPEC, seed=0)
    learn(emptied, FIRST)
    emptied._buffer.samples = None
    learn(emptied, FIRST, SECOND)
    assert not (emptied.predict(first.images.float(), PredictionRequest()).logits.argmax(1) < 2).any()


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"gdumb\.buffer: expected 1 or more, at most 1e\+07, found 0"):
        GDumbOptions(buffer=0)
