"""Learning without forgetting: the distillation's formula, who teaches, and that it keeps old answers."""

import copy

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of

from anamnesis.methods import Method, PredictionRequest, TrainingStep
from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.lwf import LWF, LWFOptions, distillation_loss
from anamnesis.records import Configuration, InputError, Split, Task
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("lwf"), "cpu")
STEP = TrainingStep("train", 0, step_index=0, total_steps=1, learning_rate=1e-3)


def learn(method: Method, *tasks: Task) -> None:
    context = context_of(tasks)
    train(method, context, data_of(context, bar_split(tasks[-1], context.labels)), PRECISION)


def test_distillation_is_the_formula() -> None:
    student, teacher = torch.randn(5, 3), torch.randn(5, 3)
    expected = 0.0
    for mine, theirs in zip(student / 2, teacher / 2, strict=True):
        chances = theirs.exp() / theirs.exp().sum()
        expected -= 4 / 5 * sum(p * (m - mine.exp().sum().log()) for p, m in zip(chances, mine, strict=True))
    assert distillation_loss(student, teacher, 2.0).item() == pytest.approx(float(expected), rel=1e-5)
    student.requires_grad_()
    distillation_loss(student, student.detach().clone(), 2.0).backward()
    assert student.grad.abs().max() < 1e-7  # nothing to learn from oneself


def test_the_base_version_teaches_and_is_let_go_afterwards() -> None:
    method = LWF(LWFOptions(), SPEC, seed=0)
    learn(method, FIRST)
    base = copy.deepcopy(method.network)
    context = context_of((FIRST, SECOND))
    data = data_of(context, bar_split(SECOND, context.labels))
    method.begin_task(context, data)
    batch = next(data(Split.TRAIN))
    teacher = method._teacher
    assert torch.equal(teacher(batch.images), base(batch.images))
    terms = method.loss(batch, STEP)
    assert set(terms) == {"classification", "distillation"}
    torch.autograd.backward(sum(terms.values()))
    assert all(parameter.grad is None for parameter in teacher.parameters())
    method.end_task(context, data)
    assert method.state_dict().keys() == Finetune(FinetuneOptions(), SPEC, 0).state_dict().keys()


def test_weight_zero_is_fine_tuning_bit_for_bit_and_a_weight_keeps_old_answers() -> None:
    images = bar_split(FIRST, context_of((FIRST,)).labels).images.float()
    moved = {}
    for weight in (0.0, 10.0):
        method = LWF(LWFOptions(weight=weight, competing=SoftmaxScope.SEEN), SPEC, seed=0)
        learn(method, FIRST)
        before = method.predict(images, PredictionRequest((0, 1))).logits.softmax(1)
        learn(method, FIRST, SECOND)
        after = method.predict(images, PredictionRequest((0, 1))).logits.softmax(1)
        moved[weight] = (after[:, :2] - before).abs().mean()
        if not weight:
            plain = Finetune(FinetuneOptions(), SPEC, seed=0)
            learn(plain, FIRST)
            learn(plain, FIRST, SECOND)
            state = plain.network.state_dict()
            assert all(torch.equal(value, state[name]) for name, value in method.network.state_dict().items())
    assert moved[10.0] < 0.7 * moved[0.0]


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"lwf\.temperature: expected a number above 0"):
        LWFOptions(temperature=0.0)
