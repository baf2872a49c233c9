"""An update with a trigger: it ends early without new data, and leaves the decision to the operator."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders.update_steps import make_trigger, run_update_steps

from anamnesis import steps
from anamnesis.records import HeldBack, InputError, UpdateResultKind, digest_json, encode, encode_object
from anamnesis.registry import Log, build_history, evaluate_gate, list_update_results, record_decision
from anamnesis.storage import open_store
from anamnesis.updates.required_tests import required_tests

if TYPE_CHECKING:
    from conftest import UpdateRunner


def test_a_candidate_is_left_to_the_operator(runner: "UpdateRunner") -> None:
    runner.write_images("north")
    request = replace(runner.request("north"), trigger=make_trigger(minimum=16))
    result = run_update_steps(request)
    store = open_store(runner.registry)
    assert not Log(store).entries()
    assert (result.kind, result.new_patients, result.counts["train"]) == (UpdateResultKind.CANDIDATE, 16, 16)
    assert result.configuration == digest_json(encode(request.configuration))
    decision = evaluate_gate(store, result.version, request.gate, required_tests(request, result.test_set))
    record_decision(store, decision, "operator", "the gate says so")
    assert build_history(Log(store).entries()).champion == result.version


def test_repeating_a_finished_run_does_nothing(runner: "UpdateRunner") -> None:
    runner.write_images("north")
    request = replace(runner.request("north"), trigger=make_trigger())
    result = run_update_steps(request)
    runner.write_images("north", patients=36)  # what arrives later belongs to another update
    ingested = steps.begin_update(encode_object(request), 1)
    assert (ingested["learn"], ingested["snapshot"]) == (False, result.snapshot)
    assert run_update_steps(request) == result


def test_a_snapshot_that_the_lineage_has_learned_is_no_change(runner: "UpdateRunner") -> None:
    runner.update("north")
    runner.update("east")
    result = run_update_steps(replace(runner.request("north"), trigger=make_trigger()))
    assert (result.kind, result.new_patients, result.version) == (UpdateResultKind.NO_CHANGE, 0, "")
    assert result.base == runner.base


def test_a_snapshot_that_only_another_lineage_has_learned_is_new(runner: "UpdateRunner") -> None:
    runner.update("north")
    first = runner.base
    runner.write_images("north", patients=36)
    runner.update("north")
    runner.base = first  # as after a roll back
    assert run_update_steps(replace(runner.request("north"), trigger=make_trigger())).kind is UpdateResultKind.CANDIDATE


@pytest.mark.parametrize(("minimum", "kind"), [(8, UpdateResultKind.CANDIDATE), (9, UpdateResultKind.TOO_FEW_PATIENTS)])
def test_only_patients_count_that_are_new_to_training(
    runner: "UpdateRunner", minimum: int, kind: UpdateResultKind
) -> None:
    runner.update("north")
    runner.write_images("north", patients=36)
    result = run_update_steps(replace(runner.request("north"), trigger=make_trigger(minimum=minimum)))
    assert (result.kind, result.new_patients) == (kind, 8)
    assert bool(result.version) == (kind is UpdateResultKind.CANDIDATE)


def test_a_first_update_can_have_too_few_patients(runner: "UpdateRunner") -> None:
    runner.write_images("north")
    result = run_update_steps(replace(runner.request("north"), trigger=make_trigger(minimum=17)))
    assert (result.kind, result.new_patients) == (UpdateResultKind.TOO_FEW_PATIENTS, 16)
    assert list_update_results(open_store(runner.registry)) == (result,)


def test_without_a_trigger_it_always_learns_and_records_the_decision(runner: "UpdateRunner") -> None:
    runner.update("north")
    request = encode_object(runner.request("north"))
    ingested = steps.begin_update(request, 1)
    assert (ingested["learn"], ingested["update_result"], ingested["reused"]) == (True, None, True)
    assert not list_update_results(open_store(runner.registry))


def test_a_triggered_update_never_records_a_decision(runner: "UpdateRunner") -> None:
    _, test_set = runner.ingest("north")
    version = str(runner.update("north")["train"]["version"])
    head = Log(open_store(runner.registry)).head()
    request = encode_object(replace(runner.request("north"), trigger=make_trigger()))
    with pytest.raises(InputError, match="update_result: missing, although the request has a trigger"):
        steps.promote_model(request, version, test_set, "tester")
    assert Log(open_store(runner.registry)).head() == head


def test_new_patients_who_are_held_back_start_no_update(runner: "UpdateRunner") -> None:
    runner.minimum_patients = 5
    runner.update("north")
    runner.write_images("north", patients=28)
    result = run_update_steps(replace(runner.request("north"), trigger=make_trigger()))
    assert (result.kind, result.new_patients, result.version) == (UpdateResultKind.TOO_FEW_PATIENTS, 0, "")
    assert result.held_back == HeldBack(patients=2, classes=2)


def test_a_site_with_too_few_patients_starts_no_update(runner: "UpdateRunner") -> None:
    runner.minimum_patients = 20  # the default; the site has 8 patients of each class for training
    runner.write_images("north")
    result = run_update_steps(replace(runner.request("north"), trigger=make_trigger()))
    assert (result.kind, result.held_back) == (UpdateResultKind.TOO_FEW_PATIENTS, HeldBack(16, 2))
