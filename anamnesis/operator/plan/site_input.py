"""What the checks of a site read, and what they give."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.plan.plan_input import ObservedSite, ObservedUpdate, PlanInput
from anamnesis.operator.plan.planned_status import PlannedSiteStatus, SiteState
from anamnesis.operator.plan.update_lifecycle import UpdatePlan


@dataclass(frozen=True, slots=True)
class SiteReadiness:
    """The state of a site, and when the operator must plan again because the state may change by itself."""

    status: PlannedSiteStatus
    requeue_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SiteInput:
    """What the checks read about one site of a model.

    Attributes:
        spec: of the model.
        name: of the site.
        plan_input: what the operator read.
        update_plans: update -> its state and next actions.
        now: the time, UTC.
    """

    spec: ContinualModelSpec
    name: str
    plan_input: PlanInput
    update_plans: Mapping[str, UpdatePlan]
    now: datetime

    @property
    def observed(self) -> ObservedSite:
        """The site as it was read."""
        return self.plan_input.sites[self.name]

    @property
    def updates(self) -> tuple[ObservedUpdate, ...]:
        """The updates of the site, oldest first."""
        return tuple(update for update in self.plan_input.updates if update.site == self.name)

    @property
    def is_requested(self) -> bool:
        """Whether a person requests an update of the site: an earlier failure and the trigger do not count then."""
        return self.plan_input.on_demand or self.observed.has_open_request

    def readiness(self, state: SiteState, message: str = "", requeue_at: datetime | None = None) -> SiteReadiness:
        """Returns the readiness of this site."""
        return SiteReadiness(PlannedSiteStatus(self.name, state, message), requeue_at)
