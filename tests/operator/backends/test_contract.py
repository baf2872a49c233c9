"""What a Kubeflow back end promises, on a stand-in for Pipelines' server and, where there is one, on the real one."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anamnesis.operator.backends.base import Job, Run, RunState
from anamnesis.records import InputError

from .conftest import Place


def test_nothing_is_there_before_the_first(place: Place) -> None:
    assert place.backend.runs("chest-") == ()


def test_a_submitted_run_is_found_by_its_prefix(place: Place, probe_pipeline: Path) -> None:
    run = place.backend.submit(Job("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    try:
        assert run.name == "chest-5aa-1"
        assert run.state in (RunState.PENDING, RunState.RUNNING)
        assert run.finished is None
        assert abs(run.created - datetime.now(UTC)) < timedelta(minutes=1)
        assert [one.id for one in place.backend.runs("chest-5aa-")] == [run.id]
        assert place.backend.runs("5aa") == (), "within a name is not at its start"
        assert place.backend.runs("chest-5aa-11") == ()
    finally:
        place.backend.cancel(run)


def test_a_name_is_submitted_once(place: Place, probe_pipeline: Path) -> None:
    job = Job("chest-5aa-1", probe_pipeline, {"what": "wait"})
    first = place.backend.submit(job)
    try:
        assert place.backend.submit(job).id == first.id
        assert [one.id for one in place.backend.runs("chest-")] == [first.id]
    finally:
        place.backend.cancel(first)


def test_of_two_with_one_name_the_older_stays(place: Place, probe_pipeline: Path) -> None:
    job = Job("chest-5aa-1", probe_pipeline, {"what": "wait"})
    older = place.backend.submit(job)
    other = dataclasses.replace(place.backend)
    other._create_run(other._experiment(), job)
    both = sorted(run.id for run in other._called(other._experiment(), job.name))
    assert len(both) == 2
    kept = place.backend.submit(job)
    ended = next(one for one in both if one != kept.id)
    assert [run.id for run in place.backend.runs("chest-")] == [kept.id]
    assert older.id in both
    assert place.backend._ends(ended)
    assert not place.backend._ends(kept.id)
    place.backend.cancel(kept)


def test_runs_of_another_experiment_are_not_ours(place: Place, probe_pipeline: Path) -> None:
    other = dataclasses.replace(place.backend, experiment=f"{place.backend.experiment}/other")
    run = other.submit(Job("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    assert place.backend.runs("chest-") == ()
    other.cancel(run)


def test_a_run_is_followed_to_its_end(place: Place, probe_pipeline: Path) -> None:
    good = place.backend.submit(Job("chest-5aa-1", probe_pipeline, {"what": '{"a": 3000}'}))
    bad = place.backend.submit(Job("chest-5aa-2", probe_pipeline, {"what": "refuse"}))
    place.until(lambda: all(run.state.final for run in place.backend.runs("chest-")))
    ended = {run.id: run for run in place.backend.runs("chest-")}
    assert ended[good.id].state is RunState.SUCCEEDED
    assert ended[good.id].message == ""
    assert (ended[bad.id].state, ended[bad.id].message) == (RunState.FAILED, "failed: say")
    for run in ended.values():
        assert run.finished
        assert run.created <= run.finished <= run.created + timedelta(minutes=5)


def test_a_cancelled_run_ends_and_may_be_cancelled_again(place: Place, probe_pipeline: Path) -> None:
    run = place.backend.submit(Job("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    place.until(lambda: place.backend.runs("chest-")[0].state is RunState.RUNNING)
    place.backend.cancel(run)
    place.backend.cancel(run)
    place.until(lambda: place.backend.runs("chest-")[0].state.final)
    assert place.backend.runs("chest-")[0].state in (RunState.CANCELLED, RunState.FAILED)
    place.backend.cancel(run)


def test_a_run_that_is_gone_is_cancelled_without_a_word(place: Place) -> None:
    gone = Run("00000000-0000-0000-0000-000000000000", "chest-5aa-1", RunState.RUNNING, datetime.now(UTC))
    place.backend.cancel(gone)


def test_the_server_says_what_it_refuses(place: Place, probe_pipeline: Path) -> None:
    with pytest.raises(InputError, match=r"http://\S+: 400 parameter\(s\) .* not required by pipeline: colour$"):
        place.backend.submit(Job("chest-5aa-1", probe_pipeline, {"colour": "red"}))
    assert place.backend.runs("chest-") == ()
