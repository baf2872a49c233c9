"""The status of an UpdateApproval."""

from datetime import datetime

from anamnesis.operator.api import condition_types
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.conditions import make_condition, merge_conditions, with_names
from anamnesis.operator.api.status import UpdateApprovalStatus
from anamnesis.operator.plan import ApprovalState, PlannedApprovalStatus


def approval_status(
    approval: UpdateApproval, planned_status: PlannedApprovalStatus, now: datetime
) -> UpdateApprovalStatus:
    """Returns the status of an approval."""
    is_recorded = None if planned_status.state is ApprovalState.PENDING else not planned_status.state.is_refused
    reason, message = planned_status.state.value, planned_status.message
    conditions = [make_condition(condition_types.RECORDED, is_recorded, reason, message)]
    if is_recorded is None:
        conditions.append(make_condition(condition_types.RECONCILING, True, reason, message))
    elif not is_recorded and planned_status.state is not ApprovalState.RECORDED_BEFORE:  # the log has the decision
        conditions.append(make_condition(condition_types.STALLED, True, reason, message))
    named_conditions = with_names(conditions, approval.metadata.namespace, approval.spec.model or "")
    generation = approval.metadata.generation
    values = {
        "observed_generation": generation,
        "conditions": merge_conditions(approval.status.conditions, named_conditions, generation, now),
        "log_entry": planned_status.log_entry,
    }
    return UpdateApprovalStatus.model_validate(values, by_name=True, by_alias=False)
