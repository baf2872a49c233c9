"""The back end that runs updates on a cluster."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.api_model import ApiModel, TypedUnion
from anamnesis.operator.api.pod_settings import PodSettings
from anamnesis.operator.api.string_types import Name, PositiveDuration, WebAddress


class KubeflowLocation(ApiModel):
    """A Kubeflow Pipelines server, and where on it the runs are."""

    endpoint: WebAddress
    """Address of the Pipelines API, for example http://ml-pipeline.kubeflow:8888."""
    namespace: Name | None = None
    """Namespace of the pods of runs, on a multi-user server. If omitted, the namespace of the model."""
    experiment: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "anamnesis"
    """The Kubeflow experiment that lists the runs; namespace and name of the model are appended."""


class KubeflowBackendSpec(KubeflowLocation, PodSettings):
    """A Kubeflow Pipelines server, and the settings of the pods of a run."""


class BackendLocation(TypedUnion):
    """The back end on which the runs of an update are."""

    type: Literal["Local", "Kubeflow"]
    """Which back end."""
    kubeflow: KubeflowLocation | None = None


class BackendSpec(TypedUnion):
    """The back end that runs updates on a cluster. The command anamnesis run ignores it and runs on your machine."""

    type: Literal["Local", "Kubeflow"] = "Local"
    """Local runs updates in the operator's pod; Kubeflow runs them as pipelines in pods of their own."""
    kubeflow: KubeflowBackendSpec | None = None
    retries: Annotated[int, Field(ge=0, le=20, strict=True)] = 2
    """How many times a failed run is retried."""
    run_deadline: PositiveDuration = "1d"
    """Longest time that a run may take. A longer run is cancelled and counts as failed."""
    start_deadline: PositiveDuration = "10m"
    """Longest time that the pod of a step may take to start before the model is Stalled with the reason StepNotStarted.
    The run is not cancelled, because a queue may take longer."""

    @property
    def location(self) -> BackendLocation:
        """Where the runs are, without the settings of their pods."""
        server = self.kubeflow
        kubeflow = (
            KubeflowLocation.model_construct(
                endpoint=server.endpoint, namespace=server.namespace, experiment=server.experiment
            )
            if server
            else None
        )
        return BackendLocation(type=self.type, kubeflow=kubeflow)
