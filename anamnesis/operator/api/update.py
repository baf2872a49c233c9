"""A ModelUpdate: one pass over one site's data. The operator makes it; it never changes."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.base import Digest, Model, Name, Resource
from anamnesis.operator.api.status import ModelUpdateStatus

Whole = Annotated[int, Field(ge=0, strict=True)]


class ModelUpdateSpec(Model):
    """What exactly is done. ``claim`` is the digest of all that tells two updates apart."""

    model: Name
    site: Name
    claim: Digest
    source: Digest
    patients: Whole = 0
    base: Digest | None = None
    counter: Whole = 0
    request: Annotated[str, StringConstraints(min_length=2, max_length=100_000)]
    """The encoded ``UpdateRequest``, as JSON: what the run gets, to the byte."""


class ModelUpdate(Resource):
    """One pass over one site's data."""

    kind: Literal["ModelUpdate"]
    spec: ModelUpdateSpec
    status: ModelUpdateStatus = ModelUpdateStatus()
