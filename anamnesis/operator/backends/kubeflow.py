"""Runs pipelines on a Kubeflow Pipelines server. Keeps nothing: runs, versions and experiments are found by name."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from anamnesis.operator.backends.base import Job, Run
from anamnesis.operator.backends.kubeflow_client import GoneError, errors_told
from anamnesis.operator.backends.kubeflow_run_parser import run_of
from anamnesis.pipelines.specialise import Ir, Runtime, load_ir, specialise
from anamnesis.records import ConflictError, InputError, UnreachableError

Found = TypeVar("Found", str, tuple[Run, ...])
_PAGE = 100
_OPERATIONS = {"is": 1, "contains": 9}


@dataclass(frozen=True, slots=True)
class KubeflowBackend:
    """Kubeflow Pipelines, asked through its own client.

    Attributes:
        endpoint: URL of the server.
        client: of that server, see ``pipelines_client.connect``; several back ends may share it.
        experiment: every run is in this one; it is made with the first.
        namespace: of a multi-user installation; empty elsewhere.
        runtime: how the pods of a job look.
    """

    endpoint: str
    client: Any
    experiment: str = "anamnesis"
    namespace: str = ""
    runtime: Callable[[Job], Runtime] = lambda _: Runtime()

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """See ``Backend.runs``; of two with one name, the older."""
        with errors_told(self.endpoint):
            experiment = self._experiment()
            found = self._listed(experiment, prefix) if experiment else ()
        older: dict[str, Run] = {}
        for run in found:
            older.setdefault(run.name, run)
        return tuple(older.values())

    def submit(self, job: Job) -> Run:
        """See ``Backend.submit``. Of two runs with one name the older is kept and the other is ended.

        Raises:
            InputError: the server refuses the pipeline or its arguments.
        """
        with errors_told(self.endpoint):
            experiment = self._ensure(self._experiment, self._create_experiment)
            first, *others = self._ensure(
                lambda: self._called(experiment, job.name), lambda: self._create_run(experiment, job)
            )
        for run in others:
            self.cancel(run)
        return first

    def cancel(self, run: Run) -> None:
        """See ``Backend.cancel``."""
        try:
            with errors_told(self.endpoint):
                self.client.runs.run_service_terminate_run(run.id)
        except GoneError:
            return
        except InputError:
            if not self._ends(run.id):  # the server refuses to end a run twice
                raise

    def _ends(self, run: str) -> bool:
        with errors_told(self.endpoint):
            found = self.client.runs.run_service_get_run(run)
        return found.state == "CANCELING" or run_of(found).state.final

    def _ensure(self, find: Callable[[], Found], make: Callable[[], None]) -> Found:
        """Finds something by its name; where it is not there, makes it and looks again: another may have been first."""
        if found := find():
            return found
        try:
            with errors_told(self.endpoint):
                make()
        except ConflictError:
            pass
        if found := find():
            return found
        raise UnreachableError(f"Kubeflow Pipelines at {self.endpoint} does not list what it took; it is tried again")

    def _experiment(self) -> str:
        listed = self.client.experiments.experiment_service_list_experiments(
            filter=_filter("is", self.experiment), namespace=self.namespace
        )
        return str(listed.experiments[0].experiment_id) if listed.experiments else ""

    def _create_experiment(self) -> None:
        made = self.client.api_models.V2beta1Experiment(
            display_name=self.experiment,
            namespace=self.namespace or None,
            description="Updates of models, by Anamnesis",
        )
        self.client.experiments.experiment_service_create_experiment(made)

    def _listed(self, experiment: str, part: str) -> tuple[Run, ...]:
        """Returns the runs whose name starts with ``part``, oldest first."""
        runs = (run_of(one) for one in self._pages(experiment, _filter("contains", part)))
        return tuple(sorted((run for run in runs if run.name.startswith(part)), key=lambda run: (run.created, run.id)))

    def _called(self, experiment: str, name: str) -> tuple[Run, ...]:
        return tuple(run for run in self._listed(experiment, name) if run.name == name)

    def _pages(self, experiment: str, chosen: str) -> Iterator[Any]:
        token = ""
        while True:
            page = self.client.runs.run_service_list_runs(
                experiment_id=experiment, filter=chosen, page_size=_PAGE, page_token=token
            )
            yield from page.runs or ()
            if not (token := page.next_page_token):
                return

    def _create_run(self, experiment: str, job: Job) -> None:
        ir = specialise(load_ir(job.pipeline), self.runtime(job))
        pipeline, version = self._version(ir)
        models = self.client.api_models
        run = models.V2beta1Run(
            experiment_id=experiment,
            display_name=job.name,
            pipeline_version_reference=models.V2beta1PipelineVersionReference(
                pipeline_id=pipeline, pipeline_version_id=version
            ),
            runtime_config=models.V2beta1RuntimeConfig(parameters=dict(job.arguments)),
        )
        self.client.runs.run_service_create_run(run)

    def _version(self, ir: Ir) -> tuple[str, str]:
        """Returns the ids of pipeline and version; uploads what is not there."""
        name = str(ir.pipeline["pipelineInfo"]["name"])
        pipeline = self._ensure(lambda: self._pipeline(name), lambda: self._create_pipeline(name))
        version = self._ensure(lambda: self._uploaded(pipeline, ir.version_name), lambda: self._upload(pipeline, ir))
        return pipeline, version

    def _pipeline(self, name: str) -> str:
        listed = self.client.pipelines.pipeline_service_list_pipelines(
            filter=_filter("is", name), namespace=self.namespace
        )
        return str(listed.pipelines[0].pipeline_id) if listed.pipelines else ""

    def _create_pipeline(self, name: str) -> None:
        made = self.client.api_models.V2beta1Pipeline(display_name=name, namespace=self.namespace or None)
        self.client.pipelines.pipeline_service_create_pipeline(made)

    def _uploaded(self, pipeline: str, name: str) -> str:
        listed = self.client.pipelines.pipeline_service_list_pipeline_versions(pipeline, filter=_filter("is", name))
        return str(listed.pipeline_versions[0].pipeline_version_id) if listed.pipeline_versions else ""

    def _upload(self, pipeline: str, ir: Ir) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pipeline.yaml"
            file.write_text(ir.to_yaml(), encoding="utf-8")
            self.client.pipeline_uploads.upload_pipeline_version(str(file), name=ir.version_name, pipelineid=pipeline)


def _filter(operation: Literal["is", "contains"], name: str) -> str:
    predicate = {"operation": _OPERATIONS[operation], "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})
