"""An update that an operator asked for: it ends early where nothing is new, and leaves the decision to the operator."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from toys.updating import carry_out, occasion

from anamnesis import steps
from anamnesis.records import InputError, OutcomeKind, digest_json, encode, encode_object
from anamnesis.registry import Log, fold, judge, list_outcomes, settle
from anamnesis.storage import open_store
from anamnesis.updates.required_tests import required_tests

if TYPE_CHECKING:
    from conftest import World


def test_a_candidate_is_left_to_the_operator(world: "World") -> None:
    world.write("north")
    request = replace(world.request("north"), occasion=occasion(minimum=16))
    outcome = carry_out(request)
    store = open_store(world.registry)
    assert not Log(store).entries()
    assert (outcome.kind, outcome.new_patients, outcome.counts["train"]) == (OutcomeKind.CANDIDATE, 16, 16)
    assert outcome.configuration == digest_json(encode(request.configuration))
    decision = judge(store, outcome.version, request.gate, required_tests(request, outcome.test_set))
    settle(store, decision, "operator", "the gate says so")
    assert fold(Log(store).entries()).champion == outcome.version


def test_repeating_a_finished_run_does_nothing(world: "World") -> None:
    world.write("north")
    request = replace(world.request("north"), occasion=occasion())
    outcome = carry_out(request)
    world.write("north", patients=36)  # what arrives later belongs to another update
    begun = steps.begin_update(encode_object(request), 1)
    assert (begun["learn"], begun["snapshot"]) == (False, outcome.snapshot)
    assert carry_out(request) == outcome


def test_what_the_lineage_has_learned_is_no_change(world: "World") -> None:
    world.update("north")
    world.update("east")
    outcome = carry_out(replace(world.request("north"), occasion=occasion()))
    assert (outcome.kind, outcome.new_patients, outcome.version) == (OutcomeKind.NO_CHANGE, 0, "")
    assert outcome.base == world.base


def test_what_only_a_version_outside_the_lineage_has_learned_is_new(world: "World") -> None:
    world.update("north")
    first = world.base
    world.write("north", patients=36, seed=1)
    world.update("north")
    world.base = first  # as after a roll back
    assert carry_out(replace(world.request("north"), occasion=occasion())).kind is OutcomeKind.CANDIDATE


@pytest.mark.parametrize(("minimum", "kind"), [(8, OutcomeKind.CANDIDATE), (9, OutcomeKind.TOO_FEW_PATIENTS)])
def test_only_patients_count_that_are_new_to_training(world: "World", minimum: int, kind: OutcomeKind) -> None:
    world.update("north")
    world.write("north", patients=36)
    outcome = carry_out(replace(world.request("north"), occasion=occasion(minimum=minimum)))
    assert (outcome.kind, outcome.new_patients) == (kind, 8)
    assert bool(outcome.version) == (kind is OutcomeKind.CANDIDATE)


def test_a_first_update_can_have_too_few_patients(world: "World") -> None:
    world.write("north")
    outcome = carry_out(replace(world.request("north"), occasion=occasion(minimum=17)))
    assert (outcome.kind, outcome.new_patients) == (OutcomeKind.TOO_FEW_PATIENTS, 16)
    assert list_outcomes(open_store(world.registry)) == (outcome,)


def test_without_an_occasion_it_always_learns_and_settles(world: "World") -> None:
    world.update("north")
    request = encode_object(world.request("north"))
    begun = steps.begin_update(request, 1)
    assert (begun["learn"], begun["outcome"], begun["reused"]) == (True, None, True)
    assert not list_outcomes(open_store(world.registry))


def test_an_occasion_never_settles(world: "World") -> None:
    _, test_set = world.ingest("north")
    version = str(world.update("north")["train"]["version"])
    head = Log(open_store(world.registry)).head()
    request = encode_object(replace(world.request("north"), occasion=occasion()))
    with pytest.raises(InputError, match="needs what the ingest found"):
        steps.promote_model(request, version, test_set, "tester")
    assert Log(open_store(world.registry)).head() == head
