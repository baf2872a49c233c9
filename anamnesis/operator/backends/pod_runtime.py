"""The settings of the pods of a model's runs: the model's own over the defaults of the operator's installation."""

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.api.pod_placement import NodeAffinitySpec
from anamnesis.operator.api.step_resources import StepResourcesSpec
from anamnesis.operator.backends.credentials import Credential
from anamnesis.operator.backends.pod_defaults import PodDefaults
from anamnesis.pipelines.runtime import (
    ComputeResources,
    ConfigMapEnv,
    ConfigMapFiles,
    NodeAffinity,
    NodeCondition,
    Runtime,
    SecretEnv,
    SecretFiles,
    Toleration,
    Volume,
)
from anamnesis.records import InputError

_EMPTY_DEFAULTS = PodDefaults()
_TRUST_FOLDER = "/etc/anamnesis/trust"
_TRUST_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


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
    _check_volume_of_trust(settings)
    authority, volumes = settings.trust, settings.volumes
    return Runtime(
        image=settings.image or "",
        accelerators=settings.gpus or 0,
        accelerator_type=settings.gpu_resource or "nvidia.com/gpu",
        tolerations=tuple(
            Toleration(toleration.key, toleration.operator, toleration.value, toleration.effect)
            for toleration in settings.tolerations
        ),
        node_selector={label.name: label.value for label in settings.node_selector},
        node_affinity=tuple(_node_affinity(affinity) for affinity in settings.node_affinity),
        secrets=tuple(
            [SecretEnv(credential.secret, credential.variables) for credential in credentials]
            + [
                SecretEnv(variable.secret.name, {variable.secret.key: variable.name})
                for variable in settings.env
                if variable.secret
            ]
        ),
        config_maps=tuple(
            ConfigMapEnv(variable.config_map.name, {variable.config_map.key: variable.name})
            for variable in settings.env
            if variable.config_map
        ),
        queue=settings.queue_name or "",
        pull_secrets=tuple(pull_secret.name for pull_secret in settings.image_pull_secrets),
        shared_memory=settings.shared_memory or "",
        volumes=tuple(Volume(volume.claim_name, volume.path) for volume in volumes if volume.claim_name),
        environment=_plain_environment(settings),
        secret_files=tuple(
            [SecretFiles(volume.secret_name, volume.path) for volume in volumes if volume.secret_name]
            + ([SecretFiles(authority.secret, _TRUST_FOLDER)] if authority else [])
        ),
        config_map_files=tuple(
            ConfigMapFiles(volume.config_map_name, volume.path) for volume in volumes if volume.config_map_name
        ),
        resources={resources.step: _compute_resources(resources) for resources in settings.resources},
    )


def _check_volume_of_trust(settings: PodDefaults) -> None:
    for volume in settings.volumes:
        if settings.trust and volume.source_name == settings.trust.secret and volume.source_kind != "Secret":
            raise InputError(
                f"spec.backend.kubeflow.volumes: the {volume.source_kind} {volume.source_name!r} has the name of the "
                "Secret of certificate authorities that the operator's installation mounts (pipelines.trust.secret); "
                f"rename the {volume.source_kind}"
            )


def _plain_environment(settings: PodDefaults) -> dict[str, str]:
    """Returns the variables with a text of their own; a variable from a Secret or ConfigMap replaces it."""
    trust = settings.trust
    certificates = dict.fromkeys(_TRUST_VARIABLES, f"{_TRUST_FOLDER}/{trust.key}") if trust else {}
    replaced_names = {variable.name for variable in settings.env}
    return {name: text for name, text in {**settings.environment, **certificates}.items() if name not in replaced_names}


def _node_affinity(affinity: NodeAffinitySpec) -> NodeAffinity:
    conditions = tuple(
        NodeCondition(expression.key, expression.operator, expression.values)
        for expression in affinity.match_expressions
    )
    return NodeAffinity(conditions, affinity.weight)


def _compute_resources(resources: StepResourcesSpec) -> ComputeResources:
    requests, limits = resources.requests, resources.limits
    return ComputeResources(
        cpu_request=requests.cpu or "",
        cpu_limit=limits.cpu or "",
        memory_request=requests.memory or "",
        memory_limit=limits.memory or "",
    )
