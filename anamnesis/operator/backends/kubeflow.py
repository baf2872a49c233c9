"""Runs pipelines on a Kubeflow Pipelines server. Stateless: finds runs, versions and experiments by name."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from anamnesis.operator.backends.base import PipelineJob, Run, RunState
from anamnesis.operator.backends.kubeflow_client import KubeflowNotFoundError, translate_errors
from anamnesis.operator.backends.kubeflow_run_parser import parse_run
from anamnesis.operator.backends.kubeflow_workflow import WorkflowFacts, parse_workflow
from anamnesis.operator.backends.pod_reader import PodReader
from anamnesis.operator.runtime.bounded_cache import BoundedCache
from anamnesis.pipelines.compiled_pipeline import check_arguments, read_compiled
from anamnesis.pipelines.runtime import Runtime
from anamnesis.pipelines.specialise import PipelineIR, load_ir, specialise
from anamnesis.records import ConflictError, InputError, RefusedError, UnreachableError, digest_bytes, digest_hex

FoundT = TypeVar("FoundT", str, tuple[Run, ...])
_PAGE_SIZE = 100
_FILTER_OPERATIONS = {"is": 1, "contains": 9}
_MAXIMUM_EXPERIMENT_BYTES = 128
"""The server refuses longer names of experiments since release 2.15."""


@dataclass(frozen=True, slots=True)
class KubeflowBackend:
    """Kubeflow Pipelines, through its own client.

    Attributes:
        endpoint: URL of the server.
        client: client of the server, see ``kubeflow_client.connect``; several back ends may share it.
        experiment: name of the experiment of all runs; the first run creates it.
        namespace: namespace of the runs on a multi-user server; empty on others.
        runtime: returns the settings of the pods of a job.
        facts_of_failed_runs: identifier of a run -> what its Workflow says, which does not change any more; several
            back ends may share it.
        pods: reads why pods wait or failed; none without the right to read pods.
    """

    endpoint: str
    client: Any
    experiment: str = "anamnesis"
    namespace: str = ""
    runtime: Callable[[PipelineJob], Runtime] = lambda _: Runtime()
    facts_of_failed_runs: BoundedCache[str, WorkflowFacts] = field(default_factory=BoundedCache)
    pods: PodReader | None = None

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """See ``Backend.runs``; of two runs with one name, the older."""
        with translate_errors(self.endpoint):
            experiment = self._find_experiment()
            listed_runs = self._list_runs(experiment, prefix) if experiment else ()
        oldest_by_name: dict[str, Run] = {}
        for run in listed_runs:
            oldest_by_name.setdefault(run.name, run)
        runs = tuple(self._explain(run) for run in oldest_by_name.values())
        return self.pods.explain(runs) if self.pods else runs

    def _explain(self, run: Run) -> Run:
        """Adds what the Workflow of a run that waits or failed says about it."""
        if run.waiting_since:
            return replace(run, waiting_reason=self._read_workflow(run).waiting_reason)
        if run.state is not RunState.FAILED:
            return run
        facts = self.facts_of_failed_runs.get(run.id)
        if facts is None:
            facts = self._read_workflow(run)
            self.facts_of_failed_runs.put(run.id, facts)
        if facts.is_terminated:
            return replace(run, state=RunState.CANCELLED, message="")
        return replace(run, message=f"{run.message}: {facts.failure_reason}") if facts.failure_reason else run

    def _read_workflow(self, run: Run) -> WorkflowFacts:
        """Returns what a run's Workflow says; nothing where the server does not serve Workflows."""
        path = f"/apis/v1beta1/runs/{run.id}"
        try:
            with translate_errors(self.endpoint):
                return parse_workflow(
                    self.client.runs.api_client.call_api(
                        path, "GET", response_type="object", _return_http_data_only=True
                    )
                )
        except (InputError, RefusedError):
            return WorkflowFacts()

    def submit(self, job: PipelineJob) -> Run:
        """See ``Backend.submit``. Of two runs with one name, the newer is ended.

        Raises:
            InputError: an argument is too long, or the server refuses the pipeline or its arguments.
        """
        check_arguments(read_compiled(job.pipeline), job.arguments)
        with translate_errors(self.endpoint):
            experiment = self._find_or_create(self._find_experiment, self._create_experiment)
            oldest_run, *duplicate_runs = self._find_or_create(
                lambda: self._list_runs_named(experiment, job.name), lambda: self._create_run(experiment, job)
            )
        for run in duplicate_runs:
            self.cancel(run)
        return oldest_run

    def cancel(self, run: Run) -> None:
        """See ``Backend.cancel``."""
        try:
            with translate_errors(self.endpoint):
                self.client.runs.run_service_terminate_run(run.id)
        except KubeflowNotFoundError:
            return
        except (InputError, UnreachableError):
            # the server refuses to end a run twice, and fails to end one whose Workflow is gone, but both are recorded
            if not self._is_ending(run.id):
                raise

    def is_outdated(self, run: Run, job: PipelineJob) -> bool:
        """See ``Backend.is_outdated``: a pipeline version holds the image and the pod settings."""
        version_name = specialise(load_ir(job.pipeline), self.runtime(job)).version_name
        try:
            with translate_errors(self.endpoint):
                reference = self.client.runs.run_service_get_run(run.id).pipeline_version_reference
                version = self.client.pipelines.pipeline_service_get_pipeline_version(
                    reference.pipeline_id, reference.pipeline_version_id
                )
        except KubeflowNotFoundError:
            return False  # somebody deleted the version, or the run
        return str(version.display_name) != version_name

    def _is_ending(self, run_id: str) -> bool:
        with translate_errors(self.endpoint):
            state = parse_run(self.client.runs.run_service_get_run(run_id)).state
        return state is RunState.CANCELLING or state.is_final

    def _find_or_create(self, find: Callable[[], FoundT], create: Callable[[], None]) -> FoundT:
        """Finds an object by name, or creates it and searches again, as another client may have created it first."""
        if existing_object := find():
            return existing_object
        try:
            with translate_errors(self.endpoint):
                create()
        except ConflictError:
            pass
        if existing_object := find():
            return existing_object
        raise UnreachableError(
            f"Kubeflow Pipelines at {self.endpoint} does not list an object that it created; the operator retries. "
            "If this lasts, read the log of the pod ml-pipeline"
        )

    def _find_experiment(self) -> str:
        response = self.client.experiments.experiment_service_list_experiments(
            filter=_name_filter("is", self.experiment), namespace=self.namespace
        )
        return str(response.experiments[0].experiment_id) if response.experiments else ""

    def _create_experiment(self) -> None:
        new_experiment = self.client.api_models.V2beta1Experiment(
            display_name=self.experiment,
            namespace=self.namespace or None,
            description="Updates of models, by Anamnesis",
        )
        self.client.experiments.experiment_service_create_experiment(new_experiment)

    def _list_runs(self, experiment: str, prefix: str) -> tuple[Run, ...]:
        """Returns the runs whose name starts with ``prefix``, oldest first."""
        runs = (parse_run(api_run) for api_run in self._iterate_api_runs(experiment, _name_filter("contains", prefix)))
        return tuple(
            sorted((run for run in runs if run.name.startswith(prefix)), key=lambda run: (run.created_at, run.id))
        )

    def _list_runs_named(self, experiment: str, name: str) -> tuple[Run, ...]:
        return tuple(run for run in self._list_runs(experiment, name) if run.name == name)

    def _iterate_api_runs(self, experiment: str, run_filter: str) -> Iterator[Any]:
        token = ""
        while True:
            page = self.client.runs.run_service_list_runs(
                experiment_id=experiment, filter=run_filter, page_size=_PAGE_SIZE, page_token=token
            )
            yield from page.runs or ()
            if not (token := page.next_page_token):
                return

    def _create_run(self, experiment: str, job: PipelineJob) -> None:
        ir = specialise(load_ir(job.pipeline), self.runtime(job))
        pipeline_id, version_id = self._ensure_pipeline_version(ir)
        models = self.client.api_models
        run = models.V2beta1Run(
            experiment_id=experiment,
            display_name=job.name,
            pipeline_version_reference=models.V2beta1PipelineVersionReference(
                pipeline_id=pipeline_id, pipeline_version_id=version_id
            ),
            runtime_config=models.V2beta1RuntimeConfig(parameters=dict(job.arguments)),
        )
        self.client.runs.run_service_create_run(run)

    def _ensure_pipeline_version(self, ir: PipelineIR) -> tuple[str, str]:
        """Returns the ids of pipeline and version; uploads those that are missing."""
        name = str(ir.pipeline["pipelineInfo"]["name"])
        pipeline_id = self._find_or_create(lambda: self._find_pipeline(name), lambda: self._create_pipeline(name))
        version_id = self._find_or_create(
            lambda: self._find_version(pipeline_id, ir.version_name), lambda: self._upload_version(pipeline_id, ir)
        )
        return pipeline_id, version_id

    def _find_pipeline(self, name: str) -> str:
        response = self.client.pipelines.pipeline_service_list_pipelines(
            filter=_name_filter("is", name), namespace=self.namespace
        )
        return str(response.pipelines[0].pipeline_id) if response.pipelines else ""

    def _create_pipeline(self, name: str) -> None:
        new_pipeline = self.client.api_models.V2beta1Pipeline(display_name=name, namespace=self.namespace or None)
        self.client.pipelines.pipeline_service_create_pipeline(new_pipeline)

    def _find_version(self, pipeline_id: str, name: str) -> str:
        response = self.client.pipelines.pipeline_service_list_pipeline_versions(
            pipeline_id, filter=_name_filter("is", name)
        )
        return str(response.pipeline_versions[0].pipeline_version_id) if response.pipeline_versions else ""

    def _upload_version(self, pipeline_id: str, ir: PipelineIR) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pipeline.yaml"
            file.write_text(ir.to_yaml(), encoding="utf-8")
            self.client.pipeline_uploads.upload_pipeline_version(
                str(file), name=ir.version_name, pipelineid=pipeline_id
            )


def experiment_name(experiment: str, namespace: str, model: str) -> str:
    """Returns the name of the experiment of a model's runs; a name that is too long ends with its digest."""
    name = f"{experiment}/{namespace}/{model}"
    encoded = name.encode()
    if len(encoded) <= _MAXIMUM_EXPERIMENT_BYTES:
        return name
    suffix = f"-{digest_hex(digest_bytes(encoded))[:12]}"
    return encoded[: _MAXIMUM_EXPERIMENT_BYTES - len(suffix)].decode(errors="ignore") + suffix


def _name_filter(operation: Literal["is", "contains"], name: str) -> str:
    predicate = {"operation": _FILTER_OPERATIONS[operation], "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})
