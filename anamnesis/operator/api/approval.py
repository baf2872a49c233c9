"""An UpdateApproval: a person's word on one version. Its own kind, so that a role can allow this and nothing else."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, StringConstraints, model_validator

from anamnesis.operator.api.base import Digest, Metadata, Model, Name, Resource, Text
from anamnesis.operator.api.status import UpdateApprovalStatus


class GeneratedMetadata(Metadata):
    """Metadata whose name may be left to the API server."""

    model_config = ConfigDict(extra="ignore")
    name: Name = "approval"
    generate_name: Annotated[str, StringConstraints(max_length=58)] | None = None


class UpdateApprovalSpec(Model):
    """Who decided what about exactly which version.

    ``Approve`` and ``Reject`` speak of the candidate of an update; ``RollBack`` makes an earlier champion of a model
    champion again.
    """

    update: Name | None = None
    model: Name | None = None
    version: Digest
    decision: Literal["Approve", "Reject", "RollBack"]
    approver: Text
    reason: Text

    @model_validator(mode="after")
    def _speaks_of_one_thing(self) -> Self:
        if (self.decision == "RollBack") != (self.model is not None) or (self.model is None) != bool(self.update):
            raise ValueError("RollBack goes with model, Approve and Reject go with update, and only with it")
        return self


class UpdateApproval(Resource):
    """A person's word on one version. On a cluster only: locally it is ``anamnesis approve`` or ``reject``."""

    kind: Literal["UpdateApproval"]
    metadata: GeneratedMetadata
    spec: UpdateApprovalSpec
    status: UpdateApprovalStatus = UpdateApprovalStatus()
