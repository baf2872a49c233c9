"""An UpdateApproval: a person's word on one version. Its own kind, so that a role can allow this and nothing else."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, StringConstraints, model_validator

from anamnesis.operator.api.api_model import ApiModel, Metadata, Resource
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.status import UpdateApprovalStatus
from anamnesis.operator.api.string_types import Digest, Name, Text

_DECISION_TARGET_MESSAGE = "RollBack goes with model, Approve and Reject go with update, and only with it"


class GeneratedMetadata(Metadata):
    """Metadata whose name may be left to the API server."""

    model_config = ConfigDict(extra="ignore")
    name: Name = "approval"
    generate_name: Annotated[str, StringConstraints(max_length=58)] | None = None


class UpdateApprovalSpec(ApiModel):
    """Who decided what about exactly which version.

    ``Approve`` and ``Reject`` speak of the candidate of an update; ``RollBack`` makes an earlier champion of a model
    champion again.
    """

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self == oldSelf", "a word once given cannot be changed; make another UpdateApproval"),
            (
                "self.decision == 'RollBack' ? has(self.model) && !has(self.update)"
                " : has(self.update) && !has(self.model)",
                _DECISION_TARGET_MESSAGE,
            ),
        )
    )

    update: Name | None = None
    """The ModelUpdate whose candidate is approved or rejected."""
    model: Name | None = None
    """The ContinualModel that is rolled back."""
    version: Digest
    """Digest of the version: the candidate (status.version of the update), or the champion to return to."""
    decision: Literal["Approve", "Reject", "RollBack"]
    """What is to be done with the version."""
    approver: Text
    """Who says so: your own user name; the API server refuses any other (kubectl auth whoami shows it)."""
    reason: Text
    """Why, in a sentence. It stands in the registry's log for good: no patient data."""

    @model_validator(mode="after")
    def _check_decision_target(self) -> Self:
        if (self.decision == "RollBack") != (self.model is not None) or (self.model is None) != bool(self.update):
            raise ValueError(_DECISION_TARGET_MESSAGE)
        return self


class UpdateApproval(Resource):
    """A person's word on one version: approved, rejected, or rolled back to."""

    kind: Literal["UpdateApproval"]
    metadata: GeneratedMetadata
    spec: UpdateApprovalSpec
    status: UpdateApprovalStatus = UpdateApprovalStatus()
