"""An UpdateApproval: a person's decision on one version. A kind of its own, so that a role can allow it alone."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, StringConstraints, model_validator

from anamnesis.operator.api.api_model import ApiModel, Metadata, Resource
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.status import UpdateApprovalStatus
from anamnesis.operator.api.string_types import Digest, Name, Text

_MODEL_MESSAGE = "decisions RollBack and Withdraw need the field model alone; set model, and remove update"
_VERSION_MESSAGE = "decision Withdraw takes no field version, every other decision needs it; remove or set version"
_CANDIDATE_MESSAGE = "decisions Approve and Reject need the field update alone; set update, and remove model"
_REPORT_MESSAGE = "report belongs to decisions about an update; remove report"


class GeneratedMetadata(Metadata):
    """Metadata without a name, where the API server generates one."""

    model_config = ConfigDict(extra="ignore")
    name: Name = "approval"
    generate_name: Annotated[str, StringConstraints(max_length=58)] | None = None


class UpdateApprovalSpec(ApiModel):
    """A person's decision on one version. It cannot be changed; create another UpdateApproval instead.

    ``Approve`` and ``Reject`` decide on the candidate of an update. ``RollBack`` makes an earlier champion of a model
    the champion again. ``Withdraw`` takes the champion out of use: no version is in use until a RollBack.
    """

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self == oldSelf", "a decision cannot be changed; create another UpdateApproval"),
            (
                "!(self.decision in ['RollBack', 'Withdraw']) || (has(self.model) && !has(self.update))",
                _MODEL_MESSAGE,
            ),
            (
                "self.decision in ['RollBack', 'Withdraw'] || (has(self.update) && !has(self.model))",
                _CANDIDATE_MESSAGE,
            ),
            ("(self.decision == 'Withdraw') != has(self.version)", _VERSION_MESSAGE),
            ("!has(self.report) || has(self.update)", _REPORT_MESSAGE),
        )
    )

    update: Name | None = None
    """Name of the ModelUpdate whose candidate you approve or reject. Required for Approve and Reject."""
    model: Name | None = None
    """Name of the ContinualModel to roll back or to withdraw. Required for RollBack and Withdraw."""
    version: Digest | None = None
    """Digest of the version: the candidate (status.version of the ModelUpdate), or the earlier champion. Required for
    all decisions but Withdraw."""
    decision: Literal["Approve", "Reject", "RollBack", "Withdraw"]
    """The decision on the version."""
    report: Digest | None = None
    """Digest of the report that you read (status.reportDigest of the ModelUpdate). With another digest than that of
    the present report, the operator refuses the approval."""
    approver: Text
    """Your own user name (kubectl auth whoami shows it). The API server refuses any other name."""
    reason: Text
    """The reason, in a sentence. The registry's log keeps it permanently: do not write patient data."""

    @model_validator(mode="after")
    def _check_decision_target(self) -> Self:
        is_about_champion = self.decision in ("RollBack", "Withdraw")
        if is_about_champion and (self.model is None or self.update is not None):
            raise ValueError(_MODEL_MESSAGE)
        if not is_about_champion and (self.update is None or self.model is not None):
            raise ValueError(_CANDIDATE_MESSAGE)
        if (self.decision == "Withdraw") == (self.version is not None):
            raise ValueError(_VERSION_MESSAGE)
        if self.report is not None and self.update is None:
            raise ValueError(_REPORT_MESSAGE)
        return self


class UpdateApproval(Resource):
    """A person's decision on one version: approve it, reject it, roll back to it, or withdraw the champion."""

    kind: Literal["UpdateApproval"]
    metadata: GeneratedMetadata
    spec: UpdateApprovalSpec
    status: UpdateApprovalStatus = UpdateApprovalStatus()
