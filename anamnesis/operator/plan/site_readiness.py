"""The readiness of one site: the list of checks, in the order of the page for people on call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from anamnesis.operator.plan import site_checks, trigger_checks
from anamnesis.operator.plan.planned_status import SiteState
from anamnesis.operator.plan.site_input import SiteInput, SiteReadiness


@dataclass(frozen=True, slots=True)
class SiteCheck:
    """One check, and what a person does.

    Attributes:
        decide: returns the readiness of a site, or none where the next check decides. The docstring says when the
            check applies.
        actions: state that the check gives -> what a person does about it.
    """

    decide: Callable[[SiteInput], SiteReadiness | None]
    actions: Mapping[SiteState, str]


SITE_CHECKS: Final = (
    SiteCheck(
        site_checks.update_in_progress,
        {
            SiteState.UPDATING: "Wait for the run. The message names it.",
            SiteState.STEP_NOT_STARTED: "Run the command of the message: it shows why the pod does not start. Correct "
            "the image, the Secret, the quota or the nodes.",
            SiteState.AWAITING_APPROVAL: "`anamnesis approve` or `anamnesis reject`.",
            SiteState.AWAITING_EVALUATIONS: "`anamnesis evaluate` adds the evaluation that the message names; "
            "or `anamnesis reject`.",
            SiteState.CLAIMED_ELSEWHERE: "Wait for the other operator.",
            SiteState.SUSPENDED: "`anamnesis resume`.",
            SiteState.INVALID_SPEC: "Correct the field that the message names.",
        },
    ),
    SiteCheck(
        site_checks.champion_withdrawn,
        {SiteState.WITHDRAWN: "`anamnesis rollback` to an earlier version ends the withdrawal."},
    ),
    SiteCheck(
        site_checks.source_unreadable,
        {SiteState.UNREADABLE: "Read the message, then the condition `Ready` of the Site."},
    ),
    SiteCheck(
        site_checks.source_shrank,
        {
            SiteState.SOURCE_SHRANK: "Bring the files back. If they left for good, raise `maximumShrinkShare` of the "
            "Site, then `anamnesis update`."
        },
    ),
    SiteCheck(site_checks.data_learned, {SiteState.LEARNED: "Nothing. New data starts the next update."}),
    SiteCheck(
        site_checks.version_not_promoted,
        {
            SiteState.ROLLED_BACK: "`anamnesis update` trains on the data again.",
            SiteState.REJECTED: "Read the message. New data or a changed configuration starts another update; "
            "`anamnesis update` starts one now.",
            SiteState.AWAITING_APPROVAL: "`anamnesis approve` or `anamnesis reject`.",
            SiteState.AWAITING_EVALUATIONS: "`anamnesis evaluate` adds the evaluation that the message names.",
        },
    ),
    SiteCheck(site_checks.model_suspended, {SiteState.SUSPENDED: "`anamnesis resume`."}),
    SiteCheck(
        site_checks.log_unverified,
        {SiteState.UNVERIFIED_PROMOTION: "Read the condition `UnverifiedPromotion` of the model."},
    ),
    SiteCheck(site_checks.spec_invalid, {SiteState.INVALID_SPEC: "Correct the field that the message names."}),
    SiteCheck(
        site_checks.method_not_allowed,
        {SiteState.OUTSIDE_CHANGE_PLAN: "Choose an allowed method, or have this one added to the change plan."},
    ),
    SiteCheck(site_checks.run_without_decision, {SiteState.UNDECIDED: "Read `run.log` of the last run."}),
    SiteCheck(
        site_checks.update_failed,
        {SiteState.FAILED: "Read the log of the run, fix the cause, then `anamnesis update`."},
    ),
    SiteCheck(
        trigger_checks.no_data,
        {SiteState.WAITING_FOR_DATA: "Check that the sender writes to `spec.source` of the Site."},
    ),
    SiteCheck(
        trigger_checks.too_few_patients,
        {SiteState.WAITING_FOR_PATIENTS: "Wait for data, or `anamnesis update` to learn what is there."},
    ),
    SiteCheck(trigger_checks.source_changing, {SiteState.WAITING_FOR_QUIET: "Wait until the upload has ended."}),
    SiteCheck(
        trigger_checks.outside_schedule,
        {SiteState.WAITING_FOR_SCHEDULE: "Wait until the time in the message, or `anamnesis update` to start now."},
    ),
    SiteCheck(
        site_checks.learned_site_missing,
        {SiteState.QUEUED: "Apply that Site again, or remove it from `spec.sites`."},
    ),
    SiteCheck(
        site_checks.learned_store_unreadable,
        {SiteState.QUEUED: "Restore the server of the store that the message names."},
    ),
    SiteCheck(site_checks.other_operator_active, {SiteState.CLAIMED_ELSEWHERE: "Wait for the other operator."}),
    SiteCheck(
        site_checks.ready_to_update,
        {
            SiteState.NEXT: "Nothing. The update starts now.",
            SiteState.QUEUED: "Wait for the update of the site that the message names.",
        },
    ),
)
"""The first check that gives a state wins. ``planning`` turns ``Next`` into ``Queued`` while another site updates."""


def decide_site(site: SiteInput) -> SiteReadiness:
    """Returns the readiness of a site; ``NEXT`` where its update may start."""
    return next(readiness for check in SITE_CHECKS if (readiness := check.decide(site)))
