"""The meaning of the states of updates and approvals, for the page of people on call."""

from collections.abc import Mapping
from typing import Final

from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState

UPDATE_STATE_MEANINGS: Final[Mapping[UpdateState, str]] = {
    UpdateState.WAITING: "The operator submits the run.",
    UpdateState.RUNNING: "The run is in progress; the message names it.",
    UpdateState.STEP_NOT_STARTED: "The pod of a step cannot start, or has not started for longer than "
    "`backend.startDeadline`. The message names the step and the command that says why. The run goes on when the pod "
    "starts; a corrected image or pod setting replaces the run at once.",
    UpdateState.RETRYING: "A run failed. The operator tries again, at most `backend.retries` times.",
    UpdateState.CLAIMED_ELSEWHERE: "Another operator that shares the registry runs this update. Wait for it.",
    UpdateState.INVALID_SPEC: "A field of the model means nothing or contradicts a Site. Correct the field that the "
    "message names; people's decisions are recorded meanwhile.",
    UpdateState.SUSPENDED: "The model is suspended. `anamnesis resume` continues.",
    UpdateState.BACKEND_UNREACHABLE: "The back end does not answer, so the run can be neither seen nor started. The "
    "operator continues when it answers; see the condition `BackendReachable` of the model.",
    UpdateState.AWAITING_EVALUATIONS: "The gate lacks an evaluation. `anamnesis evaluate` adds the evaluation that the "
    "message names; or `anamnesis reject`.",
    UpdateState.AWAITING_APPROVAL: "A person decides: no criterion failed, and an approval is required or a criterion "
    "is undecided. `anamnesis report` shows why; `anamnesis approve` or `anamnesis reject`.",
    UpdateState.RECORDING_DECISION: "The operator writes the gate's decision to the registry's log.",
    UpdateState.PROMOTED: "The version became champion.",
    UpdateState.REJECTED: "The gate or a person rejected the version. The message names the criterion or the person.",
    UpdateState.ROLLED_BACK: "The version was champion, and a person rolled back.",
    UpdateState.SUPERSEDED: "Another version became champion first, and a new update learns the data on top of it; or "
    "the data or the model's settings changed before a run ended well, and a new update learns with these; or a person "
    "withdrew the champion.",
    UpdateState.NO_CHANGE: "The champion has already learned these samples.",
    UpdateState.TOO_FEW_PATIENTS: "Fewer new patients than `minimumNewPatients`. More data starts another update.",
    UpdateState.SOURCE_SHRANK: "The source lists much less than before, or nothing of a class. Bring the files back; "
    "or raise `maximumShrinkShare` of the Site, then `anamnesis update`.",
    UpdateState.RUN_FAILED: "All runs failed. Fix the cause, then `anamnesis update`.",
    UpdateState.RUN_CANCELLED: "Somebody cancelled the run. `anamnesis update` tries again.",
}

APPROVAL_STATE_MEANINGS: Final[Mapping[ApprovalState, str]] = {
    ApprovalState.PENDING: "Not in the log yet. The message says what it waits for; if there is none, check that the "
    "operator runs.",
    ApprovalState.RECORDED: "It counts. `status.logEntry` is its number in the registry's log.",
    ApprovalState.ALREADY_IN_EFFECT: "It changed nothing: the version was approved, rejected, the champion, or "
    "withdrawn before. It is not executed later either.",
    ApprovalState.AUTHOR_UNVERIFIED: "The admission policy was not in force when it was created. "
    "Install `manifests/admission`, then approve again.",
    ApprovalState.RECORDED_BEFORE: "An approval of this name and content was recorded before, and was then deleted. It "
    "counts once. To decide again, create an approval with another name.",
    ApprovalState.UNKNOWN_MODEL: "The namespace had no such ContinualModel for a minute, so nothing has the decision, "
    "now or later. Create another approval with the right name.",
    ApprovalState.UNKNOWN_UPDATE: "There was no such ModelUpdate. Create an approval with the right `spec.update`.",
    ApprovalState.WRONG_VERSION: "The ModelUpdate has another version, or none yet. The message names it.",
    ApprovalState.SUPERSEDED: "Another version was the champion, or the champion was withdrawn. Approve the version of "
    "the next update.",
    ApprovalState.ALREADY_REJECTED: "A person rejected the version before, which is final.",
    ApprovalState.ALREADY_PROMOTED: "The version is promoted already. `anamnesis rollback` undoes that.",
    ApprovalState.NEVER_PROMOTED: "Roll back is only possible to a version that was champion.",
    ApprovalState.NO_CHAMPION: "There was no champion to withdraw. `anamnesis suspend` stops updates.",
    ApprovalState.REPORT_CHANGED: "The report about the version has changed since the person read it. "
    "Read it with `anamnesis report -n NAMESPACE MODEL`, then approve again.",
    ApprovalState.SCORES_MISSING: "The gate still waited for scores of the version, so nobody had read them. "
    "Approve it when its update is `AwaitingApproval`.",
}
