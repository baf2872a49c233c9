"""Local mode: observe, plan, carry out, again, until nothing is left to do."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass

from anamnesis.local.plan_input import Look, Observation, observe
from anamnesis.local.state import LocalState
from anamnesis.operator.addresses import registry_url
from anamnesis.operator.api import ContinualModel, Loaded, Resources, Site
from anamnesis.operator.plan import Status, Submit, plan
from anamnesis.operator.requests import update_request
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log
from anamnesis.storage import open_store
from anamnesis.updates.requests import UpdateRequest

Ingest = Callable[[Loaded[Site]], None]
"""Makes a snapshot of what a site's source holds now."""


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


def look_and_plan(
    wanted: Wanted, look: Look, clock: Clock, submitted: Set[tuple[str, str]] = frozenset()
) -> tuple[Observation, tuple[Submit, ...], Status]:
    """Returns what is there, what to do now, and the model's status."""
    sites = {site.name: site for site in wanted.resources.sites_of(wanted.model)}
    observation = observe(wanted.model, sites, open_store(registry_url(wanted.model)), look, submitted)
    actions, status = plan(wanted.model.resource.spec, observation.observed, clock())
    return observation, tuple(action for action in actions if isinstance(action, Submit)), status


def request_for(wanted: Wanted, observation: Observation, site: str) -> UpdateRequest:
    """Returns the update that learns ``site`` on top of the champion."""
    base, learned = observation.observed.champion, observation.learned
    return update_request(wanted.model, wanted.resources.sites[site], wanted.split_key, base, learned, wanted.who)


def updates(wanted: Wanted, look: Look, ingest: Ingest, clock: Clock) -> Iterator[UpdateRequest]:
    """Yields the next update until nothing is left to do; the caller carries each out before it asks for another.

    No update is yielded twice, so that this ends even where a gate waits or another process is at work.
    """
    submitted: set[tuple[str, str]] = set()
    while True:
        observation, actions, _ = look_and_plan(wanted, look, clock, submitted)
        if not actions:
            return
        site = actions[0].site
        known = site in {reference.name for reference in observation.learned}
        if known and not observation.holdings[site].snapshot:
            ingest(wanted.resources.sites[site])  # files changed: only their snapshot tells whether anything is new
            continue
        submitted.add((site, actions[0].base))
        yield request_for(wanted, observation, site)


def remember(wanted: Wanted, status: Status) -> None:
    """Writes the status and the log's head, as ``ContinualModel.status`` holds them on a cluster."""
    wanted.state.write_status(status, Log(open_store(registry_url(wanted.model))).head())


def make_split_key(reference: str) -> None:
    """Makes the split key where it is a file that does not exist yet; a lost key is found out by its fingerprint.

    Raises:
        InputError: the key cannot be read.
    """
    from anamnesis.snapshots import split_key

    split_key(reference, create=reference.startswith("file://"))
