"""Gives each model the back end that its ``spec.backend`` names."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anamnesis.operator.api import Loaded
from anamnesis.operator.api.model import ContinualModel, ContinualModelSpec, KubeflowBackend
from anamnesis.operator.api.site import Site
from anamnesis.operator.backends.background import BackgroundBackend, Processes
from anamnesis.operator.backends.base import Backend, Job
from anamnesis.operator.backends.credentials import Credential, credentials
from anamnesis.operator.backends.pod_defaults import PodDefaults
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.pipelines.specialise import Runtime, SecretEnv, SecretFiles, Toleration, Volume
from anamnesis.records import InputError
from anamnesis.records.timestamps import Clock

_NO_DEFAULTS = PodDefaults()
_TRUSTED = "/etc/anamnesis/trust"
_TRUST = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Server:
    """A Kubeflow Pipelines server.

    Attributes:
        client: of it.
        multi_user: whether each namespace has its own.
    """

    client: Any
    multi_user: bool


@dataclass(frozen=True, slots=True)
class Backends:
    """Gives a model its back end; servers and processes are shared by all.

    Attributes:
        cluster: has the Sites and Secrets.
        environment: of this process.
        state: folder for the records of local runs.
        clock: tells the time, UTC.
        defaults: of the pods of runs.
        servers: those that answered, by endpoint.
        processes: those that run, by folder.
    """

    cluster: Cluster
    environment: Mapping[str, str]
    state: Path
    clock: Clock
    defaults: PodDefaults = field(default_factory=PodDefaults)
    servers: MutableMapping[str, Server] = field(default_factory=dict)
    processes: Processes = field(default_factory=dict)

    def __call__(self, model: Loaded[ContinualModel]) -> Backend:
        """Returns the back end of ``model``, in which no other model has runs.

        Raises:
            UnreachableError: its server does not answer.
            InputError: its server answers something else than Kubeflow Pipelines would.
        """
        spec, namespace = model.resource.spec, model.resource.metadata.namespace or ""
        if spec.backend.kubeflow:
            return self._kubeflow(model, namespace, spec.backend.kubeflow)
        records = self.state / namespace / model.name / "runs"
        return BackgroundBackend(records, self.clock, lambda job: self._local(model, job), self.processes)

    def _kubeflow(self, model: Loaded[ContinualModel], namespace: str, wanted: KubeflowBackend) -> Backend:
        from anamnesis.operator.backends import kubeflow  # loads kfp

        spec = model.resource.spec
        server = self._server(wanted.endpoint)
        return kubeflow.KubeflowBackend(
            endpoint=wanted.endpoint,
            client=server.client,
            experiment=f"{wanted.experiment}/{namespace}/{model.name}",
            namespace=(wanted.namespace or namespace) if server.multi_user else "",
            runtime=lambda job: runtime_for(spec, self._credentials(model, job), self.defaults),
        )

    def _server(self, endpoint: str) -> Server:
        from anamnesis.operator.backends.kubeflow_client import connect, errors_told

        if endpoint not in self.servers:
            client = connect(endpoint, self.environment)
            with errors_told(endpoint):
                multi_user = bool(client.healthzs.healthz_service_get_healthz().multi_user)
            self.servers[endpoint] = Server(client, multi_user)
        return self.servers[endpoint]

    def _local(self, model: Loaded[ContinualModel], job: Job) -> Mapping[str, str]:
        values = (one.values for one in self._credentials(model, job))
        return dict(self.environment) | {name: text for some in values for name, text in some.items()}

    def _credentials(self, model: Loaded[ContinualModel], job: Job) -> tuple[Credential, ...]:
        """Returns those of the job's site; of every site where the job is of no single one."""
        spec, namespace = model.resource.spec, model.resource.metadata.namespace or ""
        names = [str(job.arguments["site"])] if job.arguments.get("site") else [one.name for one in spec.sites]
        sites = [site for name in names if (site := self.cluster.get(Site, namespace, name))]
        return credentials(spec, sites, lambda name: self.cluster.secret(namespace, name))


def runtime_for(
    spec: ContinualModelSpec, given: tuple[Credential, ...] = (), defaults: PodDefaults = _NO_DEFAULTS
) -> Runtime:
    """Returns how the pods of a model's runs look; their Secrets lie in the namespace where pipelines run.

    Raises:
        InputError: the model does not run on Kubeflow.
    """
    if spec.backend.kubeflow is None:
        raise InputError(f"spec.backend: {spec.backend.type} has no pods")
    wanted = defaults.below(spec.backend.kubeflow)
    trust = wanted.trust
    return Runtime(
        image=wanted.image or "",
        accelerators=wanted.gpus or 0,
        accelerator_type=wanted.gpu_resource or "nvidia.com/gpu",
        tolerations=tuple(Toleration(one.key, one.operator, one.value, one.effect) for one in wanted.tolerations),
        node_selector={label.name: label.value for label in wanted.node_selector},
        secrets=tuple(SecretEnv(one.secret, one.variables) for one in given),
        queue=wanted.queue or "",
        pull_secrets=tuple(one.name for one in wanted.pull_secrets),
        shared_memory=wanted.shared_memory or "",
        volumes=tuple(Volume(one.claim, one.path) for one in wanted.volumes),
        environment={**wanted.environment, **(dict.fromkeys(_TRUST, f"{_TRUSTED}/{trust.key}") if trust else {})},
        secret_files=(SecretFiles(trust.secret, _TRUSTED),) if trust else (),
    )
