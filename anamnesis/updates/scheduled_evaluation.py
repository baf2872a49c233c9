"""The champion judged again: on frozen test sets, and on cases that arrived since it learned. Nothing is trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from anamnesis.records import (
    AnamnesisError,
    InputError,
    Measurement,
    Monitoring,
    Progress,
    SiteConfig,
    SiteRef,
    Split,
    Window,
    digest_json,
    silent,
)
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.gate import FORGETTING
from anamnesis.registry.run_results import read_monitoring, write_monitoring
from anamnesis.snapshots import Guard, SampleRecord, ingest, open_split, read_manifest, split_key
from anamnesis.storage.store import Store, open_store
from anamnesis.updates.frozen_evaluation import EVALUATOR, probe_of, read_probe, score
from anamnesis.updates.model import Model, load_model
from anamnesis.updates.requests import EvaluationRequest
from anamnesis.updates.version_chain import snapshots_of_site

LATER = (Split.TRAIN, Split.RESERVE)
"""Where cases that arrived later can stand: a frozen test set never grows."""


def evaluate_scheduled(request: EvaluationRequest, workers: int = 2, progress: Progress = silent) -> Monitoring:
    """Judges the champion on every site's frozen test set and recent cases, and stores what was found.

    What cannot be judged becomes a problem of its site; the others go on. Repeated under the same name, nothing is
    opened again.

    Args:
        request: what is asked.
        workers: processes that read files.
        progress: called per file and per site.

    Returns:
        What counts: this, or what another attempt stored first.

    Raises:
        AnamnesisError: the version cannot be loaded.
    """
    store = open_store(request.registry)
    if found := read_monitoring(store, request.name):
        return found
    rounds = _Rounds(request, store, load_model(store, request.version), workers, progress)
    measurements: list[Measurement] = []
    problems: dict[tuple[str, str], None] = {}  # each once: a store that is gone fails both windows alike
    for done, (config, site) in enumerate(request.sites, start=1):
        for window in (rounds.frozen, rounds.recent):
            try:
                measurements += window(config, site)
            except AnamnesisError as error:
                problems[site.name, str(error)] = None
        progress(done, len(request.sites), "sites")
    found = Monitoring(request.name, request.version, request.time, tuple(measurements), tuple(problems))
    return write_monitoring(store, found)


@dataclass(frozen=True, slots=True)
class _Rounds:
    """One evaluation of one version; each window yields a measurement, or none where there is too little to judge."""

    request: EvaluationRequest
    store: Store
    model: Model
    workers: int
    progress: Progress

    def frozen(self, config: SiteConfig, site: SiteRef) -> Iterator[Measurement]:
        """Judges the test set in force anew: what is stored only stands beside it."""
        metric = site.task.primary_metric
        probe = read_probe(self.model, site)
        found = score(self.model, site.task, probe) if probe else {}
        if metric not in found:
            raise InputError(f"site {site.name!r}: the version gives no {metric} on test set {site.test_set}")
        stored = read_evaluations(self.store, self.request.version, {site.test_set})
        judged = [one for one in stored if (one.name, one.evaluator) == (FORGETTING, EVALUATOR)]
        recorded = judged[0].metrics[metric].value if judged else None
        yield Measurement(site.name, site.task.name, Window.FROZEN, site.test_set, metric, found[metric], recorded)

    def recent(self, config: SiteConfig, site: SiteRef) -> Iterator[Measurement]:
        """Judges labelled cases that arrived since, before any training of this lineage uses them."""
        own, metric = open_store(site.store), site.task.primary_metric
        snapshot = ingest(config, own, split_key(self.request.split_key), self.workers, self.progress).snapshot
        learned = snapshots_of_site(self.store, self.request.version, site.name)
        cases = arrived(own, snapshot, learned)
        if not cases or len(cases) < self.request.minimum_cases:
            return
        guard = Guard({snapshot: frozenset(LATER)})
        samples = chain.from_iterable(open_split(own, snapshot, split, guard, cases) for split in LATER)
        found = score(self.model, site.task, probe_of(self.model, site, samples))
        if metric in found:  # else the cases are all of one class, and it needs two
            digest = digest_json(sorted(cases))
            yield Measurement(site.name, site.task.name, Window.RECENT, digest, metric, found[metric])


def arrived(store: Store, snapshot: str, learned: tuple[str, ...]) -> frozenset[str]:
    """Returns the ids of a snapshot's labelled cases that are new to a lineage, images and patients.

    A case is new where no learned snapshot has it or any of its images with a label, and where no training has seen
    its patient: a patient's images resemble each other, and the score would flatter.

    Args:
        store: the site's own.
        snapshot: what lies at the site now.
        learned: the snapshots of the site that the lineage has learned.
    """
    before = [one for digest in learned for one in read_manifest(store, digest).samples]
    labelled = [one for one in before if one.split is not Split.PENDING]
    ids, contents = {one.id for one in labelled}, {content for one in labelled for content in _contents(one)}
    patients = {one.patient for one in before if one.split is Split.TRAIN}
    return frozenset(
        one.id
        for one in read_manifest(store, snapshot).samples
        if one.split in LATER and one.id not in ids and one.patient not in patients and not _contents(one) & contents
    )


def _contents(sample: SampleRecord) -> set[str]:
    mask = sample.target.mask if sample.target else None
    return {image.content for name, image in sample.images.items() if name != mask}
