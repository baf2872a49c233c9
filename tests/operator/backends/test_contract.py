"""What a Kubeflow back end promises, on a stand-in for Pipelines' server and, where there is one, on the real one."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anamnesis.operator.backends.base import PipelineJob, Run, RunState
from anamnesis.records import InputError

from .conftest import PipelinesTarget


def test_nothing_is_there_before_the_first(place: PipelinesTarget) -> None:
    assert place.backend.runs("chest-") == ()


def test_a_submitted_run_is_found_by_its_prefix(place: PipelinesTarget, probe_pipeline: Path) -> None:
    run = place.backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    try:
        assert run.name == "chest-5aa-1"
        assert run.state in (RunState.PENDING, RunState.RUNNING)
        assert run.finished_at is None
        assert abs(run.created_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert [listed_run.id for listed_run in place.backend.runs("chest-5aa-")] == [run.id]
        assert place.backend.runs("5aa") == (), "within a name is not at its start"
        assert place.backend.runs("chest-5aa-11") == ()
    finally:
        place.backend.cancel(run)


def test_a_name_is_submitted_once(place: PipelinesTarget, probe_pipeline: Path) -> None:
    job = PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"})
    first = place.backend.submit(job)
    try:
        assert place.backend.submit(job).id == first.id
        assert [listed_run.id for listed_run in place.backend.runs("chest-")] == [first.id]
    finally:
        place.backend.cancel(first)


def test_of_two_with_one_name_the_older_stays(place: PipelinesTarget, probe_pipeline: Path) -> None:
    job = PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"})
    older = place.backend.submit(job)
    second_backend = dataclasses.replace(place.backend)
    second_backend._create_run(second_backend._find_experiment(), job)
    both = sorted(run.id for run in second_backend._list_runs_named(second_backend._find_experiment(), job.name))
    assert len(both) == 2
    surviving_run = place.backend.submit(job)
    cancelled_id = next(run_id for run_id in both if run_id != surviving_run.id)
    assert [run.id for run in place.backend.runs("chest-")] == [surviving_run.id]
    assert older.id in both
    assert place.backend._is_ending(cancelled_id)
    assert not place.backend._is_ending(surviving_run.id)
    place.backend.cancel(surviving_run)


def test_runs_of_another_experiment_are_not_ours(place: PipelinesTarget, probe_pipeline: Path) -> None:
    other_backend = dataclasses.replace(place.backend, experiment=f"{place.backend.experiment}/other")
    run = other_backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    assert place.backend.runs("chest-") == ()
    other_backend.cancel(run)


def test_a_run_is_followed_to_its_end(place: PipelinesTarget, probe_pipeline: Path) -> None:
    good = place.backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": '{"a": 3000}'}))
    bad = place.backend.submit(PipelineJob("chest-5aa-2", probe_pipeline, {"what": "refuse"}))
    place.advance_until(lambda: all(run.state.is_final for run in place.backend.runs("chest-")))
    runs_by_id = {run.id: run for run in place.backend.runs("chest-")}
    assert runs_by_id[good.id].state is RunState.SUCCEEDED
    assert runs_by_id[good.id].message == ""
    assert (runs_by_id[bad.id].state, runs_by_id[bad.id].message) == (RunState.FAILED, "failed: say")
    for run in runs_by_id.values():
        assert run.finished_at
        assert run.created_at <= run.finished_at <= run.created_at + timedelta(minutes=5)


def test_a_cancelled_run_ends_and_may_be_cancelled_again(place: PipelinesTarget, probe_pipeline: Path) -> None:
    run = place.backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    place.advance_until(lambda: place.backend.runs("chest-")[0].state is RunState.RUNNING)
    place.backend.cancel(run)
    place.backend.cancel(run)
    place.advance_until(lambda: place.backend.runs("chest-")[0].state.is_final)
    assert place.backend.runs("chest-")[0].state in (RunState.CANCELLED, RunState.FAILED)
    place.backend.cancel(run)


def test_a_run_that_is_gone_is_cancelled_without_an_error(place: PipelinesTarget) -> None:
    missing_run = Run("00000000-0000-0000-0000-000000000000", "chest-5aa-1", RunState.RUNNING, datetime.now(UTC))
    place.backend.cancel(missing_run)


def test_the_server_says_what_it_refuses(place: PipelinesTarget, probe_pipeline: Path) -> None:
    with pytest.raises(InputError, match=r"http://\S+: 400 parameter\(s\) .* not required by pipeline: colour$"):
        place.backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"colour": "red"}))
    assert place.backend.runs("chest-") == ()
