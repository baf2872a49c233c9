"""What a Kubeflow back end promises, on a stand-in for Pipelines' server and, where there is one, on the real one."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anamnesis.operator.backends.base import PipelineJob, Run, RunState
from anamnesis.operator.backends.kubeflow_client import translate_errors
from anamnesis.pipelines.runtime import Runtime
from anamnesis.records import InputError

from .conftest import PipelinesTarget


def test_there_are_no_runs_before_the_first(target: PipelinesTarget) -> None:
    assert target.backend.runs("chest-") == ()


def test_a_submitted_run_is_found_by_its_prefix(target: PipelinesTarget, probe_pipeline: Path) -> None:
    run = target.backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    try:
        assert run.name == "chest-5aa-1"
        assert run.state in (RunState.PENDING, RunState.RUNNING)
        assert run.finished_at is None
        assert abs(run.created_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert [listed_run.id for listed_run in target.backend.runs("chest-5aa-")] == [run.id]
        assert target.backend.runs("5aa") == (), "within a name is not at its start"
        assert target.backend.runs("chest-5aa-11") == ()
    finally:
        target.backend.cancel(run)


def test_a_name_is_submitted_once(target: PipelinesTarget, probe_pipeline: Path) -> None:
    job = PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"})
    first = target.backend.submit(job)
    try:
        assert target.backend.submit(job).id == first.id
        assert [listed_run.id for listed_run in target.backend.runs("chest-")] == [first.id]
    finally:
        target.backend.cancel(first)


def test_of_two_with_one_name_the_older_stays(target: PipelinesTarget, probe_pipeline: Path) -> None:
    job = PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"})
    older = target.backend.submit(job)
    second_backend = dataclasses.replace(target.backend)
    second_backend._create_run(second_backend._find_experiment(), job)
    both = sorted(run.id for run in second_backend._list_runs_named(second_backend._find_experiment(), job.name))
    assert len(both) == 2
    surviving_run = target.backend.submit(job)
    cancelled_id = next(run_id for run_id in both if run_id != surviving_run.id)
    assert [run.id for run in target.backend.runs("chest-")] == [surviving_run.id]
    assert older.id in both
    assert target.backend._is_ending(cancelled_id)
    assert not target.backend._is_ending(surviving_run.id)
    target.backend.cancel(surviving_run)


def test_runs_of_another_experiment_are_not_ours(target: PipelinesTarget, probe_pipeline: Path) -> None:
    other_backend = dataclasses.replace(target.backend, experiment=f"{target.backend.experiment}/other")
    run = other_backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    assert target.backend.runs("chest-") == ()
    other_backend.cancel(run)


def test_a_run_is_followed_to_its_end(target: PipelinesTarget, probe_pipeline: Path) -> None:
    good = target.backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": '{"a": 3000}'}))
    bad = target.backend.submit(PipelineJob("chest-5aa-2", probe_pipeline, {"what": "refuse"}))
    target.advance_until(lambda: all(run.state.is_final for run in target.backend.runs("chest-")))
    runs_by_id = {run.id: run for run in target.backend.runs("chest-")}
    assert runs_by_id[good.id].state is RunState.SUCCEEDED
    assert runs_by_id[good.id].message == ""
    assert (runs_by_id[bad.id].state, runs_by_id[bad.id].message) == (RunState.FAILED, "failed steps: say")
    for run in runs_by_id.values():
        assert run.finished_at
        assert run.created_at <= run.finished_at <= run.created_at + timedelta(minutes=5)


def test_a_cancelled_run_ends_and_may_be_cancelled_again(target: PipelinesTarget, probe_pipeline: Path) -> None:
    run = target.backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    target.advance_until(lambda: target.backend.runs("chest-")[0].state is RunState.RUNNING)
    target.backend.cancel(run)
    target.backend.cancel(run)
    target.advance_until(lambda: target.backend.runs("chest-")[0].state.is_final)
    (ended_run,) = target.backend.runs("chest-")
    assert ended_run.state is RunState.CANCELLED, "the server calls it failed"
    cancelling_since = ended_run.cancelling_since  # the server does not always see the time
    assert cancelling_since is None or run.created_at <= cancelling_since <= datetime.now(UTC)
    target.backend.cancel(run)


def test_a_run_of_another_image_is_outdated(target: PipelinesTarget, probe_pipeline: Path) -> None:
    job = PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"})
    run = target.backend.submit(job)
    try:
        assert not target.backend.is_outdated(run, job)
        other_backend = dataclasses.replace(target.backend, runtime=lambda _: Runtime(image="hospital/other:2"))
        assert other_backend.is_outdated(run, job)
    finally:
        target.backend.cancel(run)


def test_a_step_whose_pod_does_not_start_is_named(target: PipelinesTarget, probe_pipeline: Path) -> None:
    backend = dataclasses.replace(target.backend, runtime=lambda _: Runtime(image="nowhere.invalid/missing:1"))
    run = backend.submit(PipelineJob("chest-5aa-1", probe_pipeline, {"what": "wait"}))
    try:
        target.advance_until(lambda: backend.runs("chest-")[0].waiting_step == "say")
        (waiting_run,) = backend.runs("chest-")
        assert waiting_run.state is RunState.RUNNING
        assert waiting_run.waiting_since
        assert run.created_at <= waiting_run.waiting_since <= datetime.now(UTC)
    finally:
        backend.cancel(run)


def test_a_run_that_is_gone_is_cancelled_without_an_error(target: PipelinesTarget) -> None:
    missing_run = Run("00000000-0000-0000-0000-000000000000", "chest-5aa-1", RunState.RUNNING, datetime.now(UTC))
    target.backend.cancel(missing_run)


def test_the_server_says_what_it_refuses(target: PipelinesTarget, probe_pipeline: Path) -> None:
    job = PipelineJob("chest-5aa-1", probe_pipeline, {"colour": "red"})
    with pytest.raises(InputError, match="pipeline parameter colour: probe has no such parameter; use one of what"):
        target.backend.submit(job)
    with translate_errors(target.backend.endpoint):
        target.backend._create_experiment()
    with (
        pytest.raises(InputError, match=r"http://\S+: 400 parameter\(s\) .* not required by pipeline: colour; check"),
        translate_errors(target.backend.endpoint),
    ):
        target.backend._create_run(target.backend._find_experiment(), job)
    assert target.backend.runs("chest-") == ()
