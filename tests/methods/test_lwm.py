"""Learning without memorizing: the formula of its attention, who teaches, and what it is without attention."""

import copy

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of
from torch import Tensor

from anamnesis.methods import Batch, Method, TrainingStep
from anamnesis.methods.lwf import LWF, ClassifierOutput, LWFOptions, run_classifier
from anamnesis.methods.lwm import LWM, LWMOptions, attention_loss
from anamnesis.networks import Classifier
from anamnesis.records import Configuration, InputError, Split, Task
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("lwm"), "cpu")
STEP = TrainingStep("train", 0, step_index=0, total_steps=1, learning_rate=1e-3)


def learn(method: Method, *tasks: Task) -> None:
    context = context_of(tasks)
    train(method, context, data_of(context, bar_split(tasks[-1], context.labels)), PRECISION)


def before_second_task(options: LWMOptions) -> tuple[LWM, Batch]:
    """Returns a method that learned the first task and begins the second, and a batch of it."""
    method = LWM(options, SPEC, seed=0)
    learn(method, FIRST)
    context = context_of((FIRST, SECOND))
    data = data_of(context, bar_split(SECOND, context.labels))
    method.begin_task(context, data)
    return method, next(data(Split.TRAIN))


def grad_cam(network: Classifier, feature_maps: Tensor, column: int) -> Tensor:
    """Returns the map [pixels] of one image as Grad-CAM defines it, by autograd, with a graph."""
    score = (network.head.weight @ feature_maps.mean((1, 2)) + network.head.bias)[column]
    (gradient,) = torch.autograd.grad(score, feature_maps, create_graph=True)
    return sum((g.mean() * a for g, a in zip(gradient, feature_maps, strict=True)), torch.zeros(())).relu().flatten()


def naive_attention(student: ClassifierOutput, teacher: ClassifierOutput, taught_columns: list[int]) -> Tensor:
    distances = []
    for mine, theirs, logits in zip(student.feature_maps, teacher.feature_maps, teacher.logits.tolist(), strict=True):
        column = max(taught_columns, key=lambda candidate: logits[candidate])
        q = grad_cam(teacher.network, theirs.detach().requires_grad_(), column).detach()
        s = grad_cam(student.network, mine, column)
        if q.any() and s.any():
            q, s = q / q.square().sum().sqrt(), s / s.square().sum().sqrt()
            distances.append(sum((abs(q_j - s_j) for q_j, s_j in zip(q, s, strict=True)), torch.zeros(())))
    assert 1 < len(distances) < len(student.logits)  # the batch has an empty map, which does not count
    return sum(distances, torch.zeros(())) / len(distances)


def random_output(seed: int, *, requires_grad: bool) -> ClassifierOutput:
    """Returns feature maps [6, F, 3, 3] in float64 and logits of a head with 5 columns; one image has no evidence."""
    network = Classifier(SPEC, seed, classes=5).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        network.head.weight.normal_(generator=generator)
    width = network.head.weight.shape[1]
    feature_maps = torch.randn(6, width, 3, 3, dtype=torch.float64, generator=generator)
    feature_maps[2] = 0
    feature_maps.requires_grad_(requires_grad)
    logits = feature_maps.mean((2, 3)) @ network.head.weight.T + network.head.bias
    return ClassifierOutput(network, feature_maps, logits)


def test_attention_is_the_formula_with_its_gradient() -> None:
    taught_columns = [0, 2, 3]  # the site's own columns are 1 and 4: the teacher's answer there does not count
    student, teacher = random_output(1, requires_grad=True), random_output(2, requires_grad=False)
    assert not set(teacher.logits.argmax(1).tolist()) <= set(taught_columns)
    values = []
    for attention in (attention_loss, naive_attention):
        value = attention(student, teacher, taught_columns)
        gradients = torch.autograd.grad(value, (student.feature_maps, student.network.head.weight))
        values.append((value.detach().double(), *(gradient.double() for gradient in gradients)))
    assert values[1][0] > 0.1
    for ours, theirs in zip(*values, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)  # the closed form computes in float32
    equal = attention_loss(student, student, taught_columns)
    assert equal.item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_stays_and_each_image_goes_once_through_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    method, batch = before_second_task(LWMOptions())
    teacher = method._teacher
    assert teacher is not None
    before = copy.deepcopy(teacher.state_dict())
    passes: list[object] = []

    def count_passes(network: Classifier, frozen_maps: Tensor) -> ClassifierOutput:
        passes.append(network)
        return run_classifier(network, frozen_maps)

    monkeypatch.setattr("anamnesis.methods.lwf.run_classifier", count_passes)
    optimiser = torch.optim.SGD(method.network.parameters(), 0.1)
    terms = method.loss(batch, STEP)
    assert set(terms) == {"classification", "distillation", "attention"}
    assert passes == [method.network, teacher]
    torch.autograd.backward(sum(terms.values()))
    optimiser.step()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert method.loss(batch, STEP)["attention"] > terms["attention"]  # they were equal before the step


def test_without_attention_it_is_lwf_bit_for_bit_and_with_it_it_is_not() -> None:
    lwf = LWF(LWFOptions(), SPEC, seed=0)
    states = {}
    methods: dict[str, LWF] = {"lwf": lwf} | {
        str(attention): LWM(LWMOptions(attention=attention), SPEC, seed=0) for attention in (0.0, 1.0)
    }
    for name, method in methods.items():
        learn(method, FIRST)
        learn(method, FIRST, SECOND)
        assert method._teacher is None
        states[name] = method.state_dict()
    assert states["0.0"].keys() == states["1.0"].keys() == states["lwf"].keys()
    equal = {
        name: all(torch.equal(value, states["lwf"][key]) for key, value in states[name].items()) for name in states
    }
    assert equal == {"lwf": True, "0.0": True, "1.0": False}


def test_attention_alone_has_a_teacher_and_a_first_site_has_none() -> None:
    method, batch = before_second_task(LWMOptions(weight=0.0))
    assert method.loss(batch, STEP)["distillation"] == 0
    assert method._teacher is not None
    for options, tasks in ((LWMOptions(), (FIRST,)), (LWMOptions(weight=0.0, attention=0.0), (FIRST, SECOND))):
        method, context = LWM(options, SPEC, seed=0), context_of(tasks)
        data = data_of(context, bar_split(tasks[-1], context.labels))
        method.begin_task(context, data)
        assert set(method.loss(next(data(Split.TRAIN)), STEP)) == {"classification"}


def test_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match=r"lwm\.attention: expected"):
        LWMOptions(attention=-1.0)
