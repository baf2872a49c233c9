"""Local mode: observe, plan, carry out, again, until nothing is left to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from anamnesis.operator.api import ContinualModel, Loaded, Resources
from anamnesis.operator.convert import registry_url, update_request
from anamnesis.operator.observe import Look, Observation, observe
from anamnesis.operator.plan import Status, plan
from anamnesis.operator.state import LocalState
from anamnesis.registry import Log, open_store
from anamnesis.updates.request import UpdateRequest

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What local mode works on.

    Attributes:
        model: which model.
        resources: holds its sites.
        state: what is remembered of it.
        split_key: where the split key is.
        who: on whose behalf.
    """

    model: Loaded[ContinualModel]
    resources: Resources
    state: LocalState
    split_key: str
    who: str


def look_and_plan(wanted: Wanted, look: Look, clock: Clock, submitted: frozenset[str] = frozenset()) -> tuple[Observation, tuple[str, ...], Status]:
    """Returns what is there, the sites whose update shall run now, and the model's status."""
    sites = {site.name: site for site in wanted.resources.sites_of(wanted.model)}
    registry = open_store(registry_url(wanted.model))
    observation = observe(wanted.model, sites, registry, look, submitted)
    actions, status = plan(wanted.model.resource.spec, observation.observed, clock())
    return observation, tuple(action.site for action in actions), status


def request_for(wanted: Wanted, observation: Observation, site: str) -> UpdateRequest:
    """Returns the update that learns ``site`` on top of the champion."""
    others = tuple(reference for reference in observation.learned if reference.name != site)
    champion = observation.observed.champion
    return update_request(wanted.model, wanted.resources.sites[site], wanted.split_key, champion, others, wanted.who)


def updates(wanted: Wanted, look: Look, clock: Clock) -> Iterator[UpdateRequest]:
    """Yields the next update until nothing is left to do; the caller carries each out before it asks for another.

    No update is yielded twice, so that this ends even where a gate waits or another process is at work.
    """
    yielded: set[tuple[str, str]] = set()
    champion = ""
    while True:
        observation, sites, _ = look_and_plan(wanted, look, clock, frozenset(s for s, base in yielded if base == champion))
        champion = observation.observed.champion
        fresh = [site for site in sites if (site, champion) not in yielded]
        if not fresh:
            return
        yielded.add((fresh[0], champion))
        yield request_for(wanted, observation, fresh[0])


def remember(wanted: Wanted, status: Status) -> None:
    """Writes the status and the log's head, as ``ContinualModel.status`` holds them on a cluster."""
    wanted.state.write_status(status, Log(open_store(registry_url(wanted.model))).head())
