"""Reads what is there for one model: the registry's log and versions, and what each site's source holds now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.operator.convert import configuration, gate_policy, site_config, store_url, task
from anamnesis.operator.plan import Candidate, Observed, ObservedSite
from anamnesis.records import AnamnesisError, SiteRef, Version, encode
from anamnesis.registry import History, Log, RequiredTest, Store, fold, judge, list_versions, read_version


@dataclass(frozen=True, slots=True)
class Holding:
    """What a site's source holds now, as far as it was ingested.

    Attributes:
        snapshot: digest of its snapshot.
        test_set: digest of the test set that counts.
        modality: key of the image that the network reads.
    """

    snapshot: str
    test_set: str
    modality: str


Look = Callable[[Loaded[Site]], Holding | None]
"""Tells what a site's source holds now; none where that was never ingested. Raises ``AnamnesisError``."""


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
    holdings: Mapping[str, Holding | None]
    learned: tuple[SiteRef, ...]
    lineage: tuple[tuple[str, Version], ...]


def observe(
    model: Loaded[ContinualModel], sites: Mapping[str, Loaded[Site]], registry: Store, look: Look, submitted: frozenset[str]
) -> Observation:
    """Returns what is there for ``model``; writes nothing to the registry.

    Args:
        model: which model.
        sites: its sites.
        registry: its registry.
        look: see ``Look``.
        submitted: see ``Observed``.
    """
    history = fold(Log(registry).entries())
    versions = {digest: read_version(registry, digest) for digest in list_versions(registry)}
    lineage = tuple((digest, versions[digest]) for digest in reversed(history.lineage))
    holdings, problems = _look_at_all(sites, look)
    learned = _references(lineage, sites, model, holdings)
    observed_sites = {}
    for name in sites:
        holding = holdings[name]
        known = holding is not None and any((v.site, v.snapshot) == (name, holding.snapshot) for _, v in lineage)
        tests = _tests(sites[name], holding, learned)
        candidates = _candidates(model, name, holding, versions, history, registry, tests) if not known else ()
        observed_sites[name] = ObservedSite(known, candidates, problems.get(name, ""))
    observed = Observed(history.champion or "", observed_sites, submitted)
    return Observation(observed, holdings, learned, lineage)


def _look_at_all(sites: Mapping[str, Loaded[Site]], look: Look) -> tuple[dict[str, Holding | None], dict[str, str]]:
    holdings: dict[str, Holding | None] = {}
    problems: dict[str, str] = {}
    for name, site in sites.items():
        try:
            holdings[name] = look(site)
        except AnamnesisError as error:  # told in the site's status; the other sites go on
            holdings[name], problems[name] = None, str(error)
    return holdings, problems


def _references(
    lineage: tuple[tuple[str, Version], ...],
    sites: Mapping[str, Loaded[Site]],
    model: Loaded[ContinualModel],
    holdings: Mapping[str, Holding | None],
) -> tuple[SiteRef, ...]:
    names = list(dict.fromkeys(version.site for _, version in lineage if version.site in sites))
    references = []
    for name in names:
        holding = holdings[name] or Holding("", "", "")
        spec = sites[name].resource.spec
        references.append(SiteRef(name, store_url(sites[name], model), task(spec), holding.test_set, holding.modality))
    return tuple(references)


def _tests(site: Loaded[Site], holding: Holding | None, learned: tuple[SiteRef, ...]) -> tuple[RequiredTest, ...]:
    earlier = tuple(RequiredTest(ref.name, ref.task, ref.test_set, new=False) for ref in learned if ref.name != site.name)
    return (*earlier, RequiredTest(site.name, site_config(site).task, holding.test_set if holding else "", new=True))


def _candidates(
    model: Loaded[ContinualModel],
    site: str,
    holding: Holding | None,
    versions: Mapping[str, Version],
    history: History,
    registry: Store,
    tests: tuple[RequiredTest, ...],
) -> tuple[Candidate, ...]:
    wanted = encode(configuration(model.resource.spec))
    policy = gate_policy(model.resource.spec.gate)
    found = []
    for digest, version in versions.items():
        of_this = (version.site, version.snapshot) == (site, holding.snapshot if holding else "")
        if not of_this or encode(version.configuration) != wanted or digest in history.lineage:
            continue
        decided = digest in history.rejected or digest in history.promoted
        if decided or version.base == history.champion:  # any other is superseded: its data is tried again
            decision = judge(registry, digest, policy, tests)
            rolled_back = digest in history.promoted
            found.append(Candidate(digest, decision.verdict, decision.reason, digest in history.rejected, rolled_back))
    return tuple(found)
