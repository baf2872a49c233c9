"""Specialists: no update changes an earlier one, the router distinguishes sites, and each costs one network."""

import copy

import torch
from builders.learning import FIRST, SECOND, SPEC, bar_split, context_of, data_of

from anamnesis.evaluation.saliency import explain_classes
from anamnesis.methods import PredictionRequest
from anamnesis.methods.specialists import Specialists, SpecialistsOptions
from anamnesis.records import Configuration, TrainingSettings
from anamnesis.training import TensorSplit, precision_for, train
from anamnesis.updates.state_blobs import pack_state

PRECISION = precision_for(Configuration("specialists"), "cpu")
SETTINGS = TrainingSettings(epochs=8, batch_size=8, learning_rate=5e-3, augment=False)


def learn(method, *tasks, turned=False):
    context = context_of(tasks, SETTINGS)
    split = bar_split(tasks[-1], context.labels, 40)
    if turned:
        split = TensorSplit.of_images(split.images.transpose(2, 3).contiguous(), split.classes, split.sample_ids)
    train(method, context, data_of(context, split), PRECISION)
    return split


def accuracy(method, split, columns=()):
    logits = method.predict(split.images.float(), PredictionRequest(columns)).logits
    return (logits.argmax(1) == split.classes).float().mean()


def test_both_sites_stay_learned_with_and_without_the_task_being_given() -> None:
    method = Specialists(SpecialistsOptions(strength=1.0), SPEC, seed=0)
    first = learn(method, FIRST)
    before = copy.deepcopy(method.network.members[0].state_dict())
    maps = explain_classes(method, first.images.float(), first.classes, (0, 1)).whole
    second = learn(method, FIRST, SECOND, turned=True)
    after = method.network.members[0].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert accuracy(method, first) > 0.9
    assert accuracy(method, second) > 0.9
    assert accuracy(method, first, (0, 1)) > 0.9
    member_log_probs = method.member_log_probs(method.explained_features(first.images.float())[-1].features)
    assert (member_log_probs.argmax(1) == 0).float().mean() > 0.9
    torch.testing.assert_close(
        method.predict(first.images.float(), PredictionRequest()).logits.exp().sum(1), torch.ones(40)
    )
    # Two networks side by side still look where the first one looked.
    later_maps = explain_classes(method, first.images.float(), first.classes, (0, 1)).whole
    torch.testing.assert_close(later_maps, maps, rtol=1e-3, atol=1e-4)


def test_two_sites_of_one_task_answer_together() -> None:
    method = Specialists(SpecialistsOptions(strength=1.0), SPEC, seed=0)
    first, second = learn(method, FIRST), learn(method, FIRST, FIRST, turned=True)
    assert len(method.network.members) == 2
    assert method.predict(first.images.float(), PredictionRequest()).logits.shape == (40, 2)
    assert min(accuracy(method, first), accuracy(method, second)) > 0.9


def test_a_later_version_shares_the_earlier_members_and_grows_by_one_network() -> None:
    method = Specialists(SpecialistsOptions(), SPEC, seed=0)
    learn(method, FIRST)
    early = pack_state(method.state_dict())
    learn(method, FIRST, SECOND)
    late = pack_state(method.state_dict())
    assert late["member.site-1"] == early["member.site-1"]
    grown = sum(map(len, late.values())) - sum(map(len, early.values()))
    assert abs(grown - len(late["member.site-2"]) - len(late["router.site-2"])) < 200
