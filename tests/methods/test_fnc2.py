"""FNC2: which terms there are, what the teacher and the prototypes are, who answers, and what is kept of a site."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of
from torch import Tensor, nn

from anamnesis.methods import Batch, Method, PredictionRequest, TrainingPass, TrainingStep
from anamnesis.methods.contrastive import Cosines, RelationOptions, instance_relations, prototype_relations
from anamnesis.methods.contrastive.focal_contrast import ContrastOptions
from anamnesis.methods.contrastive.relation_distillation import RelatedPrototypes, TeacherStatistics
from anamnesis.methods.finetune import Finetune, FinetuneOptions
from anamnesis.methods.fnc2 import FNC2, AnswerKind, AnswerOptions, FNC2Options, ProjectorOptions, make_teacher
from anamnesis.records import Configuration, InputError, Split, Task, TaskType, TrainingSettings, decode
from anamnesis.training import precision_for, train

PRECISION = precision_for(Configuration("fnc2"), "cpu")
SHORT = TrainingSettings(epochs=1, batch_size=10, learning_rate=5e-3)
SMALL = ProjectorOptions(dimension=8)
FIRST_PASS = TrainingPass("train")
SUMS = AnswerOptions(AnswerKind.RIDGE)


def make(**options: Any) -> FNC2:
    return FNC2(FNC2Options(projector=SMALL, **options), SPEC, seed=0)


def learn(method: Method[Any], *tasks: Task, settings: TrainingSettings = SHORT, count: int = 20) -> Tensor:
    """Returns how many images of the last task the model recognises, as a share of all, each class competing."""
    context = context_of(tasks, settings)
    split = bar_split(tasks[-1], context.labels, count)
    train(method, context, data_of(context, split), PRECISION)
    logits = method.predict(split.images.float(), PredictionRequest()).logits
    assert logits is not None
    return (logits.argmax(1) == split.classes).float().mean()


def begin(method: FNC2, *tasks: Task) -> Batch:
    """Begins a task and returns its first batch, of two views."""
    context = context_of(tasks, SHORT)
    data = data_of(context, bar_split(tasks[-1], context.labels))
    (stage,) = method.begin_task(context, data)
    return next(data(Split.TRAIN, replace(FIRST_PASS, views=stage.views)))


def step(index: int) -> TrainingStep:
    return TrainingStep("train", 0, step_index=index, total_steps=5, learning_rate=1e-3)


def cosines_of(method: FNC2, network: Any, batch: Batch) -> Cosines:
    embeddings = network.project(network.embed(network.features(torch.cat(batch.views))))
    return Cosines.of(embeddings, method.network.prototypes.frame)


def test_the_first_task_has_no_distillation_and_later_ones_move_from_samples_to_prototypes() -> None:
    method = make(distillation=RelationOptions(weight=0.7))
    batch = begin(method, FIRST)
    assert set(method.loss(batch, step(0))) == {"pairs", "prototypes"}
    learn(method, FIRST)
    batch = begin(method, FIRST, SECOND)
    assert len(batch.views) == 2
    assert not torch.equal(*batch.views)
    options, teacher = method.options.distillation, method._teacher
    student_cosines, teacher_cosines = (cosines_of(method, network, batch) for network in (method.network, teacher))
    related = method.network.prototypes.select_vertices((0, 1))
    first, middle, last = (method.loss(batch, step(index)) for index in (0, 2, 4))
    expected = 0.7 * instance_relations(student_cosines, teacher_cosines, options)
    torch.testing.assert_close(first["instance_relations"], expected)
    assert first["prototype_relations"] == last["instance_relations"] == 0
    torch.testing.assert_close(middle["instance_relations"], expected / 2)
    with torch.no_grad():  # the student that did not move agrees with its teacher
        method.network.projector[2].bias += 0.3
    student_cosines = cosines_of(method, method.network, batch)
    last = method.loss(batch, step(4))
    expected = 0.7 * prototype_relations(student_cosines, teacher_cosines, related, options)
    assert expected > 1e-3
    torch.testing.assert_close(last["prototype_relations"], expected)
    assert {"pairs.focal_weight", "prototypes.focal_weight", "alpha"} == set(method.log_metrics())


def test_the_log_has_the_mean_focal_weight_of_each_epoch() -> None:
    method = make()
    context = context_of((FIRST,), SHORT)
    log = train(method, context, data_of(context, bar_split(FIRST, context.labels)), PRECISION)
    assert all(0 < epoch["pairs.focal_weight"] < 1 for epoch in log.epoch_losses)


def test_a_task_changes_neither_teacher_nor_prototypes_and_the_head_learns_nothing() -> None:
    method = make()
    learn(method, FIRST)
    frame, base = method.network.prototypes.frame.clone(), copy.deepcopy(method.network.state_dict())
    teachers: list[nn.Module] = []
    after_step = method.after_step

    def keep_teacher(position: TrainingStep) -> None:
        assert method._teacher is not None
        teachers.append(method._teacher)
        after_step(position)

    method.after_step = keep_teacher  # type: ignore[method-assign]
    learn(method, FIRST, SECOND)
    assert method._teacher is None
    teacher = teachers[-1]
    assert not any(module.training for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(value, base[name]) for name, value in teacher.state_dict().items())
    after = method.network.state_dict()
    assert not torch.equal(after["projector.0.weight"], base["projector.0.weight"])
    assert torch.equal(after["head.weight"][:2], base["head.weight"])
    loaded = make()
    loaded.load_state_dict(copy.deepcopy(method.state_dict()), 5)
    for prototypes in (method.network.prototypes, loaded.network.prototypes):
        assert torch.equal(prototypes.frame, frame)
        assert prototypes.vertex_of_class.tolist() == [0, 1, 2, 3, 4]
        assert not prototypes.frame.requires_grad


def test_a_teacher_by_the_statistics_of_the_batch_keeps_none_of_them() -> None:
    spec = replace(SPEC, options={"width": 8, "norm": "batch"})
    network = FNC2(FNC2Options(projector=SMALL), spec, seed=0).network
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    stored, by_batch = (make_teacher(network, statistics) for statistics in TeacherStatistics)
    before = copy.deepcopy(by_batch.state_dict())
    with torch.no_grad():
        answers = [each.features(images) for each in (network.eval(), stored, by_batch)]
        answers.append(network.train().features(images))
    assert torch.equal(answers[0], answers[1])
    torch.testing.assert_close(answers[2], answers[3])
    assert not torch.allclose(answers[1], answers[2])
    assert all(torch.equal(value, before[name]) for name, value in by_batch.state_dict().items())


def test_old_prototypes_may_be_negatives_and_relations_may_have_all() -> None:
    for old_prototypes, related in ((True, RelatedPrototypes.OLD), (False, RelatedPrototypes.ALL)):
        method = make(
            contrast=ContrastOptions(old_prototypes=old_prototypes), distillation=RelationOptions(prototypes=related)
        )
        begin(method, FIRST, SECOND)
        competing, related_prototypes = method._competing.nonzero()[:, 0].tolist(), method._related.nonzero()[:, 0]
        assert competing == ([0, 1, 2, 3, 4] if old_prototypes else [2, 3, 4])
        assert related_prototypes.tolist() == ([0, 1] if old_prototypes else [0, 1, 2, 3, 4])


def test_nothing_of_an_image_is_stored_and_the_end_of_a_task_reads_none() -> None:
    def read_no_images(split: Split) -> Iterator[Batch]:
        raise AssertionError(f"the split {split} is read")

    method = make()
    learn(method, FIRST)
    method.end_task(context_of((FIRST,), SHORT), read_no_images)  # type: ignore[arg-type]
    assert {key.split("/")[0] for key in method.state_dict()} == {"network"}


def test_it_overfits_a_few_images_to_the_prototypes() -> None:
    task = Task("four", TaskType.CLASSIFICATION, ("a", "b", "c", "d"))
    settings = TrainingSettings(epochs=40, batch_size=64, learning_rate=1e-2, augment=False)
    method = make()
    assert learn(method, task, settings=settings, count=64) == 1
    split = bar_split(task, context_of((task,)).labels, 64)
    with torch.no_grad():
        embeddings = method.network.project(method.network.embed(method.network.features(split.images.float())))
    means = torch.stack([embeddings[split.classes == column].mean(0) for column in range(4)])
    frame = method.network.prototypes.frame[:4]
    assert nn.functional.cosine_similarity(means, frame).mean() > 0.95  # NC3


def test_the_nearest_prototype_answers_and_a_known_task_never_makes_it_worse() -> None:
    method = make()
    learn(method, FIRST)
    learn(method, FIRST, SECOND)
    prototypes = method.network.prototypes
    method.network.project = lambda embedding: embedding  # type: ignore[method-assign]
    logits = method.network.prototype_cosines(prototypes.frame[prototypes.vertex_of_class])
    assert logits.argmax(1).tolist() == [0, 1, 2, 3, 4]
    del method.network.project
    split = bar_split(SECOND, context_of((FIRST, SECOND)).labels, 40)
    shares = []
    for columns in ((), (2, 3, 4)):
        answer = method.predict(split.images.float(), PredictionRequest(columns)).logits
        assert answer is not None
        shares.append((answer.argmax(1) == split.classes).float().mean())
    assert shares[1] >= shares[0]


@pytest.mark.parametrize("kind", [AnswerKind.RIDGE, AnswerKind.DISCRIMINANT])
def test_a_classifier_from_sums_is_exact_where_the_backbone_is_frozen(kind: AnswerKind) -> None:
    """Then the order of the sites does not matter, and a site that leaves was never there."""
    spec = replace(SPEC, frozen="all")
    both, alone = (FNC2(FNC2Options(projector=SMALL, classifier=AnswerOptions(kind)), spec, seed=0) for _ in range(2))
    learn(both, SECOND)
    learn(alone, SECOND)
    heads = [method.network.head for method in (both, alone)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    learn(both, SECOND, FIRST)
    assert {key.split("/")[0] for key in both.state_dict()} == {"network", "sums.site-1", "sums.site-2", "sums_choice"}
    both.forget_site("site-2", (0, 1, 2))
    assert torch.equal(both.network.head.weight, alone.network.head.weight)
    assert both.network.prototypes.vertex_of_class.tolist() == [0, 1, 2]


def test_bad_input_is_refused_with_what_to_do() -> None:
    method = FNC2(FNC2Options(projector=ProjectorOptions(dimension=8, prototypes=4)), SPEC, seed=0)
    begin(method, FIRST)
    with pytest.raises(InputError, match="expected one for each of 5 classes, found 4"):
        begin(method, FIRST, SECOND)
    with pytest.raises(InputError, match="expected 2 to 9 prototypes in 8 dimensions"):
        FNC2(FNC2Options(projector=ProjectorOptions(dimension=8, prototypes=10)), SPEC, seed=0)
    with pytest.raises(InputError, match=r"fnc2\.projector\.dimension: expected 1 or more"):
        ProjectorOptions(dimension=0)
    nested = {"contrast": {"gamma": 0.0}, "classifier": {"kind": "ridge"}}
    assert decode(FNC2Options, nested, "fnc2").classifier == SUMS


def test_a_base_version_that_lacks_what_it_needs_is_refused() -> None:
    plain = Finetune(FinetuneOptions(), SPEC, seed=0)
    learn(plain, FIRST)
    with pytest.raises(InputError, match=r"method\.name: fnc2 cannot continue from the base version"):
        make().load_state_dict(plain.state_dict(), 2)
    base = make()
    learn(base, FIRST)
    other = FNC2(FNC2Options(projector=ProjectorOptions(dimension=16)), SPEC, seed=0)
    with pytest.raises(InputError, match=r"fnc2\.projector: the base version has 9 prototypes in 8 dimensions"):
        other.load_state_dict(base.state_dict(), 2)
    with pytest.raises(InputError, match=r"fnc2\.classifier\.kind: ridge needs the sums of all sites"):
        make(classifier=SUMS).load_state_dict(base.state_dict(), 2)


@pytest.mark.parametrize("columns", [(0, 0), (0, 1)], ids=["one class", "one sample of each"])
def test_a_batch_of_one_class_and_classes_of_one_sample_are_learned(columns: tuple[int, ...]) -> None:
    context = context_of((FIRST,), SHORT)
    split = bar_split(FIRST, context.labels, 2)
    split.classes.copy_(torch.tensor(columns))
    log = train(make(), context, data_of(context, split), PRECISION)
    assert all(torch.tensor(list(epoch.values())).isfinite().all() for epoch in log.epoch_losses)
