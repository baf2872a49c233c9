"""The updates of local mode: observe, plan, run, until the plan has no update left."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace

from anamnesis.local.plan_input import InspectSite, LocalObservation, observe_local
from anamnesis.local.signing import open_model_registry, signing_settings
from anamnesis.local.state import LocalState
from anamnesis.operator.addresses import split_key_reference
from anamnesis.operator.api import ContinualModel, LoadedResource, ResourceSet, Site
from anamnesis.operator.plan import CreateUpdate, PlannedModelStatus, plan
from anamnesis.operator.requests import update_request
from anamnesis.operator.spec_checks import describe_unread_modalities
from anamnesis.records.timestamps import Clock
from anamnesis.registry import Log
from anamnesis.storage import Store, open_store
from anamnesis.updates.requests import UpdateRequest

Ingest = Callable[[LoadedResource[Site]], None]
"""Makes a snapshot of the present contents of a site's source."""


@dataclass(frozen=True, slots=True)
class LocalContext:
    """The model, files and person of one command.

    Attributes:
        model: which model.
        resources: the resources of the files, with its sites.
        state: its files on this machine.
        author: for the registry's log.
    """

    model: LoadedResource[ContinualModel]
    resources: ResourceSet
    state: LocalState
    author: str

    @property
    def registry(self) -> Store:
        """The model's registry."""
        return open_model_registry(self.model, self.resources, self.state)


def observe_and_plan(
    context: LocalContext,
    inspect_site: InspectSite,
    clock: Clock,
    submitted_updates: Set[tuple[str, str]] = frozenset(),
) -> tuple[LocalObservation, tuple[CreateUpdate, ...], PlannedModelStatus]:
    """Returns the observation, the updates to run now, and the model's status."""
    sites = {site.name: site for site in context.resources.sites_of(context.model)}
    observation = observe_local(
        context.model,
        sites,
        registry=context.registry,
        inspect_site=inspect_site,
        submitted_updates=submitted_updates,
    )
    actions, status = plan(context.model.resource.spec, observation.plan_input, clock())
    return observation, tuple(action for action in actions if isinstance(action, CreateUpdate)), _name(context, status)


def _name(context: LocalContext, status: PlannedModelStatus) -> PlannedModelStatus:
    """Returns a status whose messages have commands that can be copied, with the notes about its sites."""
    arguments = f"-f {context.model.file} --model {context.model.name}"
    sites = [replace(site, message=site.message.replace("-f FILE --model MODEL", arguments)) for site in status.sites]
    named_sites = [replace(site, message=site.message.replace("-f FILE", f"-f {context.model.file}")) for site in sites]
    resources = context.resources.sites
    noted_sites = (
        replace(site, note=describe_unread_modalities(context.model, resources[site.name]))
        if site.name in resources
        else site
        for site in named_sites
    )
    return replace(status, sites=tuple(noted_sites))


def build_update_request(context: LocalContext, observation: LocalObservation, site: str) -> UpdateRequest:
    """Returns the update that learns ``site`` on top of the champion."""
    loaded_site = context.resources.sites[site]
    return update_request(
        context.model,
        loaded_site,
        split_key=split_key_reference(context.model, loaded_site, context.state.split_key),
        base=observation.plan_input.champion,
        learned_sites=observation.learned_sites,
        author=context.author,
        signing=signing_settings(context.model, context.state),
    )


def pending_updates(
    context: LocalContext, inspect_site: InspectSite, ingest: Ingest, clock: Clock
) -> Iterator[UpdateRequest]:
    """Yields the next update until none is left; the caller runs each update before it takes the next one.

    No update is yielded twice, so this ends even where a gate waits or another process runs.
    """
    submitted_updates: set[tuple[str, str]] = set()
    while True:
        observation, actions, _ = observe_and_plan(context, inspect_site, clock, submitted_updates)
        if not actions:
            return
        site = actions[0].site
        is_learned_site = site in {reference.name for reference in observation.learned_sites}
        if is_learned_site and not observation.site_contents[site].snapshot:
            ingest(context.resources.sites[site])  # files changed: only their snapshot shows whether there is new data
            continue
        submitted_updates.add((site, actions[0].base))
        yield build_update_request(context, observation, site)


def write_local_status(context: LocalContext, status: PlannedModelStatus) -> None:
    """Writes the status and the log's head, as ``ContinualModel.status`` holds them on a cluster."""
    registry = context.registry
    context.state.write_status(status, Log(registry).head(), registry.url)


def create_split_key(store: str, site: str, reference: str) -> None:
    """Creates the split key of a site where its store has none and its file does not exist yet.

    Args:
        store: URL of the site's own store.
        site: name of the site.
        reference: where its split key is.

    Raises:
        InputError: the key is not readable.
    """
    from anamnesis.snapshots import read_site_key

    read_site_key(open_store(store), site, reference, create=True)
