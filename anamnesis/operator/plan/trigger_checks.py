"""The checks of `spec.trigger`: what new data of a site waits for. A person's request overrules them."""

from datetime import datetime

from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.model import TriggerSpec
from anamnesis.operator.plan.planned_status import SiteState
from anamnesis.operator.plan.site_input import SiteInput, SiteReadiness
from anamnesis.operator.plan.update_lifecycle import held_back_clause
from anamnesis.records import UpdateResultKind


def no_data(site: SiteInput) -> SiteReadiness | None:
    """No file has arrived at the source."""
    has_data = bool(site.observed.source_fingerprint) and (site.is_requested or site.observed.changed_at is not None)
    if has_data or site.plan_input.on_demand:
        return None
    return site.readiness(SiteState.WAITING_FOR_DATA, "no file has arrived at the source (spec.source of the Site)")


def too_few_patients(site: SiteInput) -> SiteReadiness | None:
    """The source holds fewer new patients than `spec.trigger.minimumNewPatients`."""
    if site.is_requested:
        return None
    minimum_patients = site.spec.trigger.minimum_new_patients
    for update in site.updates:  # the ingest counted the patients
        if update.is_current and update.result and update.result_kind is UpdateResultKind.TOO_FEW_PATIENTS:
            return site.readiness(
                SiteState.WAITING_FOR_PATIENTS,
                f"the source has {update.result.new_patients} of the {minimum_patients} new patients that start an "
                f"update (spec.trigger.minimumNewPatients){held_back_clause(update)}",
            )
    growth = site.observed.patients - site.observed.learned_patients
    if site.observed.patients and 0 <= growth < minimum_patients:  # below 0: only an ingest can count them
        return site.readiness(
            SiteState.WAITING_FOR_PATIENTS,
            f"the source has at most {growth} of the {minimum_patients} new patients that start an update "
            "(spec.trigger.minimumNewPatients)",
        )
    return None


def source_changing(site: SiteInput) -> SiteReadiness | None:
    """The files at the source changed less than `spec.trigger.quietPeriod` ago."""
    if site.is_requested or site.observed.changed_at is None:
        return None
    quiet_at = site.observed.changed_at + parse_duration(site.spec.trigger.quiet_period)
    if site.now >= quiet_at:
        return None
    return site.readiness(
        SiteState.WAITING_FOR_QUIET,
        f"the files at the source changed less than {site.spec.trigger.quiet_period} ago (spec.trigger.quietPeriod); "
        "the update waits until the upload has ended",
        quiet_at,
    )


def outside_schedule(site: SiteInput) -> SiteReadiness | None:
    """`spec.trigger.schedule` or `spec.trigger.window` allows no update now."""
    if site.is_requested or site.observed.changed_at is None:
        return None
    opens_at = _schedule_opens_at(site.spec.trigger, site.observed.changed_at, site.now)
    if opens_at is None or opens_at <= site.now:
        return None
    return site.readiness(
        SiteState.WAITING_FOR_SCHEDULE,
        f"the update starts at {opens_at:%Y-%m-%d %H:%M} UTC (spec.trigger.schedule, spec.trigger.window); "
        f"to start it now, run: anamnesis update -n NAMESPACE MODEL --site {site.name}",
        opens_at,
    )


def _schedule_opens_at(trigger: TriggerSpec, changed_at: datetime, now: datetime) -> datetime | None:
    """Returns when schedule and window allow an update: now or later; none where the window never opens."""
    from anamnesis.operator.api.schedule import is_window_open, next_firing, next_opening

    opens_at = now
    if trigger.schedule:  # the first firing after the data came; a missed firing is made up for
        opens_at = max(now, next_firing(trigger.schedule, changed_at))
    if trigger.window and not is_window_open(trigger.window, opens_at):
        opens_at = next_opening(trigger.window, opens_at)
    return opens_at
