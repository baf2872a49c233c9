"""Reads what is there for one model: the registry's log and versions, and what each site's source holds now."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.plan import Candidate, ObservedSite, PlanInput
from anamnesis.operator.requests import configuration, gate_policy, learned_site_refs, update_request
from anamnesis.records import SiteRef, Version, encode
from anamnesis.registry import History, Log, RequiredTestSet, build_history, evaluate_gate, list_versions, read_version
from anamnesis.storage import Store
from anamnesis.updates.required_tests import required_tests


@dataclass(frozen=True, slots=True)
class SiteContents:
    """What a site holds now.

    Attributes:
        snapshot: digest of the snapshot of what its source holds now; empty where that was never ingested.
        test_set: digest of the test set in force; empty before the first ingest.
        problem: why source or store cannot be read; empty when all is well.
    """

    snapshot: str = ""
    test_set: str = ""
    problem: str = ""


InspectSite = Callable[[LoadedResource[Site]], SiteContents]
"""Tells what a site holds now, without reading an image."""


@dataclass(frozen=True, slots=True)
class LocalObservation:
    """Everything that planning and submitting need.

    Attributes:
        plan_input: what ``plan`` reads.
        site_contents: by site.
        learned_sites: the model's sites that the champion has learned, in the order it did.
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
    """Returns what is there for ``model``; writes nothing to the registry.

    Args:
        model: which model.
        sites: its sites.
        registry: its registry.
        inspect_site: see ``Look``.
        submitted_updates: (site, base) of the updates that were carried out already.
    """
    history = build_history(Log(registry).entries())
    versions = {digest: read_version(registry, digest) for digest in list_versions(registry)}
    lineage = tuple((digest, versions[digest]) for digest in reversed(history.lineage))
    site_contents = {name: inspect_site(site) for name, site in sites.items()}
    learned_refs = learned_site_refs(
        lineage, sites, {name: contents.test_set for name, contents in site_contents.items()}
    )
    observed_sites = {}
    for name in sites:
        contents = site_contents[name]
        is_learned = any((version.site, version.snapshot) == (name, contents.snapshot) for _, version in lineage)
        request = update_request(model, sites[name], "", history.champion or "", learned_refs, "")
        tests = required_tests(request, contents.test_set)
        candidates = (
            _find_candidates(model, name, contents.snapshot, versions, history, registry, tests)
            if not is_learned
            else ()
        )
        observed_sites[name] = ObservedSite(is_learned, tuple(candidates), contents.problem)
    champion = history.champion or ""
    submitted_sites = frozenset(site for site, base in submitted_updates if base == champion)
    return LocalObservation(
        PlanInput(champion, observed_sites, submitted_sites, on_demand=True), site_contents, learned_refs, lineage
    )


def _find_candidates(
    model: LoadedResource[ContinualModel],
    site: str,
    snapshot: str,
    versions: Mapping[str, Version],
    history: History,
    registry: Store,
    tests: Sequence[RequiredTestSet],
) -> tuple[Candidate, ...]:
    encoded_configuration = encode(configuration(model.resource.spec))
    policy = gate_policy(model.resource.spec.gate)
    candidates = []
    for digest, version in versions.items():
        has_this_data = (version.site, version.snapshot) == (site, snapshot)
        if not has_this_data or encode(version.configuration) != encoded_configuration or digest in history.lineage:
            continue
        is_decided = digest in history.rejections or digest in history.promoted_versions
        if is_decided or version.base == history.champion:  # any other is superseded: its data is tried again
            decision = evaluate_gate(registry, digest, policy, tests)
            rejection = history.rejections.get(digest)  # why it was rejected then, not what the gate would say now
            reason = rejection.reason if rejection else decision.reason
            candidates.append(
                Candidate(digest, decision.verdict, reason, rejection is not None, digest in history.promoted_versions)
            )
    return tuple(candidates)
