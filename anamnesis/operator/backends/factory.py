"""Makes the back end that ``spec.backend`` of a model names."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anamnesis.operator.api import LoadedResource
from anamnesis.operator.api.model import ContinualModel, ContinualModelSpec, KubeflowBackendSpec
from anamnesis.operator.api.site import Site
from anamnesis.operator.backends.background import BackgroundBackend, Processes
from anamnesis.operator.backends.base import Backend, PipelineJob
from anamnesis.operator.backends.credentials import Credential, collect_credentials
from anamnesis.operator.backends.pod_defaults import PodDefaults
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.pipelines.specialise import Runtime, SecretEnv, SecretFiles, Toleration, Volume
from anamnesis.records import InputError
from anamnesis.records.timestamps import Clock

_EMPTY_DEFAULTS = PodDefaults()
_TRUST_FOLDER = "/etc/anamnesis/trust"
_TRUST_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class KubeflowServer:
    """A Kubeflow Pipelines server.

    Attributes:
        client: its Kubeflow client.
        is_multi_user: whether each namespace has its own runs.
    """

    client: Any
    is_multi_user: bool


@dataclass(frozen=True, slots=True)
class BackendFactory:
    """Makes the back end of a model. All back ends share servers and processes.

    Attributes:
        cluster: gives the Sites and Secrets.
        environment: environment of this process.
        state_folder: folder for the records of local runs.
        clock: returns the time, UTC.
        pod_defaults: defaults of the pods of runs.
        servers: endpoint -> a server that was reachable.
        processes: folder -> a process of a local run.
    """

    cluster: Cluster
    environment: Mapping[str, str] = field(repr=False)
    state_folder: Path
    clock: Clock
    pod_defaults: PodDefaults = field(default_factory=PodDefaults)
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
            experiment=f"{settings.experiment}/{namespace}/{model.name}",
            namespace=(settings.namespace or namespace) if server.is_multi_user else "",
            runtime=lambda job: runtime_for(spec, self._job_credentials(model, job), self.pod_defaults),
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


def runtime_for(
    spec: ContinualModelSpec, credentials: tuple[Credential, ...] = (), pod_defaults: PodDefaults = _EMPTY_DEFAULTS
) -> Runtime:
    """Returns the settings of the pods of a model's runs. Their Secrets are in the namespace of the pipelines.

    Raises:
        InputError: the model does not run on Kubeflow.
    """
    if spec.backend.kubeflow is None:
        raise InputError(
            f"spec.backend.type: expected Kubeflow, found {spec.backend.type}, which has no pods; "
            "set spec.backend.type: Kubeflow"
        )
    settings = pod_defaults.override_with(spec.backend.kubeflow)
    authority = settings.trust
    return Runtime(
        image=settings.image or "",
        accelerators=settings.gpus or 0,
        accelerator_type=settings.gpu_resource or "nvidia.com/gpu",
        tolerations=tuple(
            Toleration(toleration.key, toleration.operator, toleration.value, toleration.effect)
            for toleration in settings.tolerations
        ),
        node_selector={label.name: label.value for label in settings.node_selector},
        secrets=tuple(SecretEnv(credential.secret, credential.variables) for credential in credentials),
        queue=settings.queue_name or "",
        pull_secrets=tuple(pull_secret.name for pull_secret in settings.image_pull_secrets),
        shared_memory=settings.shared_memory or "",
        volumes=tuple(Volume(volume.claim_name, volume.path) for volume in settings.volumes),
        environment={
            **settings.environment,
            **(dict.fromkeys(_TRUST_VARIABLES, f"{_TRUST_FOLDER}/{authority.key}") if authority else {}),
        },
        secret_files=(SecretFiles(authority.secret, _TRUST_FOLDER),) if authority else (),
    )
