"""An UpdateApproval: a person's word on one version. Its own kind, so that a role can allow this and nothing else."""

from typing import Annotated, Literal

from pydantic import ConfigDict, StringConstraints

from anamnesis.operator.api.base import Digest, Metadata, Model, Name, Resource, Text


class GeneratedMetadata(Metadata):
    """Metadata whose name may be left to the API server."""

    model_config = ConfigDict(extra="ignore")
    name: Name = "approval"
    generate_name: Annotated[str, StringConstraints(max_length=58)] | None = None


class UpdateApprovalSpec(Model):
    """Who decided what about exactly which version."""

    update: Name
    version: Digest
    decision: Literal["Approve", "Reject"]
    approver: Text
    reason: Text


class UpdateApproval(Resource):
    """A person's word on one version. On a cluster only: locally it is ``anamnesis approve`` or ``reject``."""

    kind: Literal["UpdateApproval"]
    metadata: GeneratedMetadata
    spec: UpdateApprovalSpec
