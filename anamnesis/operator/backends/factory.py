"""Makes the back end that ``spec.backend`` of a model names."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.model import ContinualModel, KubeflowBackendSpec
from anamnesis.operator.api.site import Site
from anamnesis.operator.backends.background import BackgroundBackend, Processes
from anamnesis.operator.backends.base import Backend, PipelineJob
from anamnesis.operator.backends.credentials import Credential, collect_credentials
from anamnesis.operator.backends.kubeflow_workflow import WorkflowFacts
from anamnesis.operator.backends.pod_defaults import PodDefaults
from anamnesis.operator.backends.pod_reader import PodReader
from anamnesis.operator.backends.pod_runtime import runtime_for
from anamnesis.operator.runtime.bounded_cache import BoundedCache
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.records.timestamps import Clock


@dataclass(frozen=True, slots=True)
class KubeflowServer:
    """A Kubeflow Pipelines server.

    Attributes:
        client: its Kubeflow client.
        is_multi_user: whether each namespace has its own runs.
        facts_of_failed_runs: see ``KubeflowBackend``.
    """

    client: Any
    is_multi_user: bool
    facts_of_failed_runs: BoundedCache[str, WorkflowFacts] = field(default_factory=BoundedCache)


@dataclass(frozen=True, slots=True)
class BackendFactory:
    """Makes the back end of a model. All back ends share servers and processes.

    Attributes:
        cluster: gives the Sites and Secrets.
        environment: environment of this process.
        state_folder: folder for the records of local runs.
        clock: returns the time, UTC.
        pod_defaults: defaults of the pods of runs.
        pods: reads pods of runs; none without the right to read them.
        servers: endpoint -> a server that was reachable.
        processes: folder -> a process of a local run.
    """

    cluster: Cluster
    environment: Mapping[str, str] = field(repr=False)
    state_folder: Path
    clock: Clock
    pod_defaults: PodDefaults = field(default_factory=PodDefaults)
    pods: PodReader | None = None
    servers: MutableMapping[str, KubeflowServer] = field(default_factory=dict)
    processes: Processes = field(default_factory=dict)

    def __call__(self, model: LoadedResource[ContinualModel]) -> Backend:
        """Returns the back end of ``model``, which holds no runs of other models.

        Raises:
            UnreachableError: its server is unreachable.
            InputError: its server is not a Kubeflow Pipelines API server.
        """
        spec, namespace = model.resource.spec, model.resource.metadata.namespace or ""
        if spec.backend.kubeflow:
            return self._kubeflow_backend(model, namespace, spec.backend.kubeflow)
        records = self.state_folder / namespace / model.name / "runs"
        return BackgroundBackend(records, self.clock, lambda job: self._local_environment(model, job), self.processes)

    def _kubeflow_backend(
        self, model: LoadedResource[ContinualModel], namespace: str, settings: KubeflowBackendSpec
    ) -> Backend:
        from anamnesis.operator.backends import kubeflow  # loads kfp

        spec = model.resource.spec
        server = self._connect_server(settings.endpoint)
        return kubeflow.KubeflowBackend(
            endpoint=settings.endpoint,
            client=server.client,
            experiment=kubeflow.experiment_name(settings.experiment, namespace, model.name),
            namespace=(settings.namespace or namespace) if server.is_multi_user else "",
            facts_of_failed_runs=server.facts_of_failed_runs,
            runtime=lambda job: runtime_for(spec, self._job_credentials(model, job), self.pod_defaults),
            pods=self.pods,
        )

    def _connect_server(self, endpoint: str) -> KubeflowServer:
        from anamnesis.operator.backends.kubeflow_client import connect, translate_errors

        if endpoint not in self.servers:
            client = connect(endpoint, self.environment)
            with translate_errors(endpoint):
                is_multi_user = bool(client.healthzs.healthz_service_get_healthz().multi_user)
            self.servers[endpoint] = KubeflowServer(client, is_multi_user)
        return self.servers[endpoint]

    def _local_environment(self, model: LoadedResource[ContinualModel], job: PipelineJob) -> Mapping[str, str]:
        variable_sets = (credential.values for credential in self._job_credentials(model, job))
        return dict(self.environment) | {name: text for variables in variable_sets for name, text in variables.items()}

    def _job_credentials(self, model: LoadedResource[ContinualModel], job: PipelineJob) -> tuple[Credential, ...]:
        """Returns the credentials for the job's site, or for every site if the job has no single site."""
        spec, namespace = model.resource.spec, model.resource.metadata.namespace or ""
        names = (
            [str(job.arguments["site"])] if job.arguments.get("site") else [reference.name for reference in spec.sites]
        )
        sites = [site for name in names if (site := self.cluster.get(Site, namespace, name))]
        return collect_credentials(spec, sites, lambda name: self.cluster.read_secret(namespace, name))
