"""A ModelUpdate: one pass over one site's data. The operator makes it; it never changes."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from anamnesis.operator.api.api_model import ApiModel, Resource
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.record_fields import RecordField
from anamnesis.operator.api.status import ModelUpdateStatus
from anamnesis.operator.api.string_types import Digest, Name
from anamnesis.updates.requests import UpdateRequest

StrictNonNegativeInt = Annotated[int, Field(ge=0, strict=True)]


class ModelUpdateSpec(ApiModel):
    """What exactly is done. Nobody but the operator makes one; it cannot be changed."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "self == oldSelf",
                "an update cannot be changed: change the ContinualModel, and the operator makes another",
            )
        )
    )

    model: Name
    """The ContinualModel."""
    site: Name
    """The Site whose data is learned."""
    claim: Digest
    """Digest of all that tells two updates apart."""
    source_fingerprint: Digest
    """Fingerprint of the site's data."""
    patients: StrictNonNegativeInt = 0
    """Patients in the site's listing."""
    base_version: Digest | None = None
    """The version that it starts from; none for the first."""
    counter: StrictNonNegativeInt = 0
    """The number that a person gave when asking for it; 0 where nobody asked."""
    request: Annotated[UpdateRequest, RecordField()]
    """The UpdateRequest that the run receives."""


class ModelUpdate(Resource):
    """One pass over one site's data: from claim through run and gate to a decision."""

    kind: Literal["ModelUpdate"]
    spec: ModelUpdateSpec
    status: ModelUpdateStatus = ModelUpdateStatus()
