"""A ModelUpdate: one update of a model with one Site's data. The operator creates it; its spec never changes."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from anamnesis.operator.api.api_model import ApiModel, Resource
from anamnesis.operator.api.backend import BackendLocation
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.model import RegistrySpec
from anamnesis.operator.api.record_fields import RecordField
from anamnesis.operator.api.status import ModelUpdateStatus
from anamnesis.operator.api.string_types import Digest, Name
from anamnesis.updates.requests import UpdateRequest

StrictNonNegativeInt = Annotated[int, Field(ge=0, le=2**53, strict=True)]


def name_prefix(model: str) -> str:
    """Returns the prefix of the names of a model's updates, evaluations and runs."""
    return f"{model[:40]}-"


def model_part(update: str) -> str:
    """Returns the part of the name of a ModelUpdate that comes from its model; of another name, the whole name."""
    return update.rpartition("-")[0] or update


class ModelUpdateSpec(ApiModel):
    """What the update does. Only the operator creates it; it cannot be changed."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "self == oldSelf",
                "an update cannot be changed; change the ContinualModel, and the operator creates another update",
            )
        )
    )

    model: Name
    """Name of the ContinualModel."""
    site: Name
    """Name of the Site whose data is learned."""
    claim: Digest
    """Digest of everything that distinguishes two updates. The registry's log records the claim under it."""
    source_fingerprint: Digest
    """Fingerprint of the Site's data."""
    patients: StrictNonNegativeInt = 0
    """Number of patients in the Site's listing."""
    base_version: Digest | None = None
    """Digest of the version that the update starts from. Omitted for the first update."""
    counter: StrictNonNegativeInt = 0
    """Number of the person's request; 0 if no person requested the update."""
    request: Annotated[UpdateRequest, RecordField()]
    """The parameters of the run. The run receives exactly these."""
    backend: BackendLocation | None = None
    """Where the run is. With it the operator ends the run when the model was deleted."""
    registry: RegistrySpec | None = None
    """The registry with the claim. With it the operator releases the claim when the model was deleted."""


class ModelUpdate(Resource):
    """One update of a model with one Site's data: claim, run, gate, decision."""

    kind: Literal["ModelUpdate"]
    spec: ModelUpdateSpec
    status: ModelUpdateStatus = ModelUpdateStatus()
