"""The learning rate of a model whose user gives none: chosen at its first update, kept by the later ones."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from anamnesis.evaluation.report import card_html, model_cards, report_html
from anamnesis.records import Configuration, TrainingSettings, encode_object
from anamnesis.registry import list_update_records, read_version
from anamnesis.storage import open_store
from anamnesis.training.learning_rate import RATES
from anamnesis.updates.reporting import ReportSubject, collect_report

if TYPE_CHECKING:
    from conftest import UpdateRunner

UNSET = TrainingSettings(epochs=1, batch_size=8, learning_rate=None)


def stored_rate(runner: "UpdateRunner", version: object) -> object:
    training = read_version(open_store(runner.registry), str(version)).configuration["training"]
    assert isinstance(training, dict)
    return training["learning_rate"]


def test_the_first_update_chooses_it_and_later_ones_keep_it(
    runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.training = UNSET
    trained = runner.update("north")["train"]
    first = trained["version"]
    rate = stored_rate(runner, first)
    assert rate in RATES["adamw"]
    (record,) = list_update_records(open_store(runner.registry))
    losses = {key: loss for key, loss in record.learning_rate_losses.items() if loss is not None}
    assert min(losses, key=losses.__getitem__) == f"{rate:g}"
    assert str(trained["learning_rate"]).startswith(
        f"learning rate {rate}: chosen by a range test at this update (mean"
    )
    assert all(f"{tried:g}: " in str(trained["learning_rate"]) for tried in RATES["adamw"])

    def refuse(*arguments: object) -> None:
        raise AssertionError("the base version has a rate")

    monkeypatch.setattr("anamnesis.updates.update.find_learning_rate", refuse)
    trained = runner.update("east")["train"]
    assert runner.base == trained["version"]
    assert stored_rate(runner, runner.base) == rate
    assert str(trained["learning_rate"]).startswith(
        f"learning rate {rate}: chosen by a range test at the update of north"
    )
    report, _ = collect_report(
        "", [ReportSubject("model", runner.method, runner.registry, runner.learned_sites)], "2026-01-01T00:00:00+00:00"
    )
    (card,) = model_cards(report)
    for text in (report_html(report, {}).decode(), card_html(card).decode()):
        assert f"Update 1, north: learning rate {rate}: chosen by a range test at this update" in text
        assert f"Update 2, east: {trained['learning_rate']}." in text
    runner.training = replace(UNSET, learning_rate=2e-3)
    trained = runner.update("south")["train"]
    assert stored_rate(runner, trained["version"]) == 2e-3
    assert trained["learning_rate"] == "learning rate 0.002: set in spec.training.learningRate"


def test_a_first_update_with_a_rate_tests_none(runner: "UpdateRunner") -> None:
    version = runner.update("north")["train"]["version"]
    assert stored_rate(runner, version) == runner.training.learning_rate
    assert not list_update_records(open_store(runner.registry))[0].learning_rate_losses


def test_a_version_is_recognised_by_the_configuration_that_a_user_wrote() -> None:
    requested = Configuration("finetune", training=UNSET)
    stored = encode_object(requested.with_learning_rate(3e-3))
    assert requested.is_configuration_of(stored)
    assert requested.with_learning_rate(3e-3).is_configuration_of(stored)
    assert not requested.with_learning_rate(1e-3).is_configuration_of(stored)
    assert not Configuration("ewc", training=UNSET).is_configuration_of(stored)
    assert not Configuration("finetune", training=replace(UNSET, epochs=2)).is_configuration_of(stored)


def test_another_optimiser_or_method_does_not_inherit_it() -> None:
    base = Configuration("finetune", training=replace(UNSET, learning_rate=3e-3))
    requested = Configuration("finetune", training=replace(UNSET, epochs=5))
    assert requested.inherit_learning_rate(base).training.learning_rate == 3e-3
    for other in (
        Configuration("ewc", training=UNSET),
        Configuration("finetune", training=replace(UNSET, optimiser="sgd")),
        Configuration("finetune", training=replace(UNSET, batch_size=64)),
    ):
        assert other.inherit_learning_rate(base).training.learning_rate is None
    explicit = requested.with_learning_rate(1e-2)
    assert explicit.inherit_learning_rate(base) == explicit
