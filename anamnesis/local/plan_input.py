"""Reads what is there for one model: the registry's log and versions, and what each site's source holds now."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.operator.plan import Candidate, Observed, ObservedSite
from anamnesis.operator.requests import configuration, gate_policy, learned_sites, update_request
from anamnesis.records import SiteRef, Version, encode
from anamnesis.registry import History, Log, RequiredTest, fold, judge, list_versions, read_version
from anamnesis.storage import Store
from anamnesis.updates.required_tests import required_tests


@dataclass(frozen=True, slots=True)
class Holding:
    """What a site holds now.

    Attributes:
        snapshot: digest of the snapshot of what its source holds now; empty where that was never ingested.
        test_set: digest of the test set in force; empty before the first ingest.
        problem: why source or store cannot be read; empty when all is well.
    """

    snapshot: str = ""
    test_set: str = ""
    problem: str = ""


Look = Callable[[Loaded[Site]], Holding]
"""Tells what a site holds now, without reading an image."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that planning and submitting need.

    Attributes:
        observed: what ``plan`` reads.
        holdings: by site.
        learned: the model's sites that the champion has learned, in the order it did.
        lineage: the champion's versions, oldest first.
    """

    observed: Observed
    holdings: Mapping[str, Holding]
    learned: tuple[SiteRef, ...]
    lineage: tuple[tuple[str, Version], ...]


def observe(
    model: Loaded[ContinualModel],
    sites: Mapping[str, Loaded[Site]],
    registry: Store,
    look: Look,
    submitted: Set[tuple[str, str]] = frozenset(),
) -> Observation:
    """Returns what is there for ``model``; writes nothing to the registry.

    Args:
        model: which model.
        sites: its sites.
        registry: its registry.
        look: see ``Look``.
        submitted: (site, base) of the updates that were carried out already.
    """
    history = fold(Log(registry).entries())
    versions = {digest: read_version(registry, digest) for digest in list_versions(registry)}
    lineage = tuple((digest, versions[digest]) for digest in reversed(history.lineage))
    holdings = {name: look(site) for name, site in sites.items()}
    learned = learned_sites(lineage, sites, {name: holding.test_set for name, holding in holdings.items()})
    observed_sites = {}
    for name in sites:
        holding = holdings[name]
        known = any((version.site, version.snapshot) == (name, holding.snapshot) for _, version in lineage)
        request = update_request(model, sites[name], "", history.champion or "", learned, "")
        tests = required_tests(request, holding.test_set)
        candidates = _candidates(model, name, holding.snapshot, versions, history, registry, tests) if not known else ()
        observed_sites[name] = ObservedSite(known, tuple(candidates), holding.problem)
    champion = history.champion or ""
    done = frozenset(site for site, base in submitted if base == champion)
    return Observation(Observed(champion, observed_sites, done, on_demand=True), holdings, learned, lineage)


def _candidates(
    model: Loaded[ContinualModel],
    site: str,
    snapshot: str,
    versions: Mapping[str, Version],
    history: History,
    registry: Store,
    tests: Sequence[RequiredTest],
) -> tuple[Candidate, ...]:
    wanted = encode(configuration(model.resource.spec))
    policy = gate_policy(model.resource.spec.gate)
    found = []
    for digest, version in versions.items():
        of_this = (version.site, version.snapshot) == (site, snapshot)
        if not of_this or encode(version.configuration) != wanted or digest in history.lineage:
            continue
        decided = digest in history.rejected or digest in history.promoted
        if decided or version.base == history.champion:  # any other is superseded: its data is tried again
            decision = judge(registry, digest, policy, tests)
            refusal = history.rejected.get(digest)  # why it was rejected then, not what the gate would say now
            reason = refusal.why if refusal else decision.reason
            found.append(Candidate(digest, decision.verdict, reason, refusal is not None, digest in history.promoted))
    return tuple(found)
