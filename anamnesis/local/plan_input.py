"""Reads the input of the plan for one model: the registry's log and versions, and the contents of each site."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial

from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.candidates import site_candidates
from anamnesis.operator.plan import ObservedSite, PlanInput
from anamnesis.operator.requests import configuration, gate_policy, learned_site_refs, update_request
from anamnesis.records import SiteRef, Version
from anamnesis.records.network_differences import find_network_problem
from anamnesis.registry import Log, describe_withdrawal, evaluate_gate, list_versions, read_version
from anamnesis.storage import Store
from anamnesis.updates.required_tests import required_tests


@dataclass(frozen=True, slots=True)
class SiteContents:
    """The present contents of a site.

    Attributes:
        snapshot: digest of the snapshot of the source's present contents; empty where these were never ingested.
        test_set: digest of the test set in force; empty before the first ingest.
        training_set: digest of what an update may learn of the snapshot; empty where there is no snapshot.
        held_back: which patients of the snapshot an update does not learn yet, in words; empty for none.
        problem: why source or store is not readable, or empty.
        hold: why the present data is not learned; empty where it may be.
        failure: why its ingest or update failed in this command; empty where it did not.
        changes: what the last ingest carried forward, left out as withdrawn, or found corrected, in words.
        corrected_labels: number of cases of the test set whose label in the source is another one now.
    """

    snapshot: str = ""
    test_set: str = ""
    problem: str = ""
    training_set: str = ""
    held_back: str = ""
    corrected_labels: int = 0
    hold: str = ""
    failure: str = ""
    changes: str = ""


InspectSite = Callable[[LoadedResource[Site]], SiteContents]
"""Returns the present contents of a site, without reading an image."""


@dataclass(frozen=True, slots=True)
class LocalObservation:
    """Everything that planning and submitting on this machine need.

    Attributes:
        plan_input: the input of ``plan``.
        site_contents: by site.
        learned_sites: the model's sites that the champion has learned, in that order.
        lineage: the champion's versions, oldest first.
    """

    plan_input: PlanInput
    site_contents: Mapping[str, SiteContents]
    learned_sites: tuple[SiteRef, ...]
    lineage: tuple[tuple[str, Version], ...]


def observe_local(
    model: LoadedResource[ContinualModel],
    sites: Mapping[str, LoadedResource[Site]],
    registry: Store,
    inspect_site: InspectSite,
    submitted_updates: Set[tuple[str, str]] = frozenset(),
) -> LocalObservation:
    """Returns the observation of ``model``; writes nothing to the registry.

    Args:
        model: which model.
        sites: its sites.
        registry: its registry.
        inspect_site: see ``InspectSite``.
        submitted_updates: (site, base) of the updates that ran already.
    """
    log = Log(registry)
    entries, history = log.entries(), log.history()
    versions = {digest: read_version(registry, digest) for digest in list_versions(registry)}
    lineage = tuple((digest, versions[digest]) for digest in reversed(history.lineage))
    site_contents = {name: inspect_site(site) for name, site in sites.items()}
    test_sets = {name: contents.test_set for name, contents in site_contents.items()}
    learned_refs, champion = learned_site_refs(lineage, sites, test_sets), history.champion or ""
    policy, present_configuration = gate_policy(model.resource.spec), configuration(model.resource.spec).identity
    observed_sites = {}
    for name, contents in site_contents.items():
        data = (name, contents.snapshot)
        if contents.hold or contents.failure:
            observed_sites[name] = ObservedSite(hold=contents.hold, failure=contents.failure)
            continue
        if _is_learned(name, contents, [version for _, version in lineage]):
            observed_sites[name] = ObservedSite(
                is_learned=True, problem=contents.problem, held_back=contents.held_back, changes=contents.changes
            )
            continue
        request = update_request(model, sites[name], split_key="", base=champion, learned_sites=learned_refs, author="")
        tests = required_tests(request, contents.test_set, contents.corrected_labels)
        base_by_version = {
            digest: version.base or ""
            for digest, version in versions.items()
            if (version.site, version.snapshot) == data
            and present_configuration.is_configuration_of(version.configuration)
        }
        evaluate = partial(evaluate_gate, registry, policy=policy, tests=tests)
        candidates = tuple(site_candidates(base_by_version, history, entries, evaluate))
        observed_sites[name] = ObservedSite(candidates=candidates, problem=contents.problem)
    submitted_sites = frozenset(site for site, base in submitted_updates if base == champion)
    withdrawal = describe_withdrawal(history.withdrawal) if history.withdrawal else ""
    plan_input = PlanInput(
        champion,
        observed_sites,
        submitted_sites,
        on_demand=True,
        withdrawal=withdrawal,
        spec_problem=find_network_problem(present_configuration.network, versions.get(champion)),
    )
    return LocalObservation(plan_input, site_contents, learned_refs, lineage)


def _is_learned(site: str, contents: SiteContents, lineage: Sequence[Version]) -> bool:
    """Whether the lineage learned the snapshot last, or all that may be learned of it now."""
    learned_versions = [version for version in lineage if version.site == site]
    if not learned_versions:
        return False
    last_version = learned_versions[-1]
    is_repeated = bool(contents.held_back) and last_version.training_set == contents.training_set
    return contents.snapshot == last_version.snapshot or is_repeated
