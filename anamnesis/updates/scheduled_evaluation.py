"""Evaluates the champion again, on frozen test sets and on recent cases. Nothing is trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from anamnesis.records import (
    TRAINING_SPLITS,
    AnamnesisError,
    EvaluationSet,
    InputError,
    Measurement,
    Metric,
    Progress,
    ScheduledEvaluation,
    SiteConfig,
    SiteRef,
    Split,
    digest_json,
    ignore_progress,
)
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.gate import FORGETTING
from anamnesis.registry.looks import record_look
from anamnesis.registry.opening import open_registry
from anamnesis.registry.operating_points import find_operating_points
from anamnesis.registry.run_results import read_scheduled_evaluation, write_scheduled_evaluation
from anamnesis.snapshots import Guard, SampleRecord, ingest, open_splits, read_site_key, read_snapshot_manifest
from anamnesis.storage.store import Store, open_store
from anamnesis.updates.case_sets import CaseSet, find_test_cases
from anamnesis.updates.evaluated_version import EvaluatedVersion
from anamnesis.updates.evaluators import evaluator_of
from anamnesis.updates.frozen_evaluation import EVALUATOR
from anamnesis.updates.requests import EvaluationRequest
from anamnesis.updates.version_chain import snapshots_of_site

RECENT_SPLITS = (*TRAINING_SPLITS, Split.RESERVE)
"""The splits of cases that arrived later: a frozen test set never grows."""


def evaluate_scheduled(
    request: EvaluationRequest, workers: int = 2, progress: Progress = ignore_progress
) -> ScheduledEvaluation:
    """Evaluates the champion on every site's frozen test set and recent cases, and stores the result.

    An error at one site is recorded for that site, and the other sites continue. A second evaluation with the same name
    returns the stored result and opens no data.

    Args:
        request: of the evaluation.
        workers: processes that read files.
        progress: called per file and per site.

    Returns:
        The stored result: this one, or the one that another attempt stored first.

    Raises:
        AnamnesisError: the version cannot be loaded.
    """
    store = open_registry(request.registry, request.signing)
    if evaluation := read_scheduled_evaluation(store, request.name):
        return evaluation
    site_evaluator = _SiteEvaluator(
        request=request,
        store=store,
        # from the images: stored predictions would hide that weights, files, software or devices have changed
        champion=EvaluatedVersion(store, request.version, reuses_predictions=False),
        workers=workers,
        progress=progress,
    )
    measurements: list[Measurement] = []
    site_errors: dict[tuple[str, str], None] = {}  # a missing store gives the same error for both sets of cases
    for site_number, (config, site) in enumerate(request.sites, start=1):
        for measure in (site_evaluator.measure_frozen, site_evaluator.measure_recent):
            try:
                measurements += measure(config, site)
            except AnamnesisError as error:
                site_errors[site.name, str(error)] = None
        progress(site_number, len(request.sites), "sites")
    evaluation = ScheduledEvaluation(
        name=request.name,
        version=request.version,
        scheduled_time=request.time,
        measurements=tuple(measurements),
        site_errors=tuple(site_errors),
    )
    return write_scheduled_evaluation(store, evaluation)


@dataclass(frozen=True, slots=True)
class _SiteEvaluator:
    """One evaluation of one version; each method yields a measurement, or nothing where there are too few cases."""

    request: EvaluationRequest
    store: Store
    champion: EvaluatedVersion
    workers: int
    progress: Progress

    def measure_frozen(self, config: SiteConfig, site: SiteRef) -> Iterator[Measurement]:
        """Evaluates the current test set again; the score of the update is reported beside the new score."""
        metric = site.task.primary_metric
        if not self.champion.description.knows(site.task):
            raise InputError(
                f"site {site.name!r}: version {self.request.version} has not learned all classes of task "
                f"{site.task.name!r}; create the Site again with the classes that the version learned, or with another "
                "task name"
            )
        base = self.champion.version.base or ""
        record_look(self.store, site.test_set, version=self.champion.digest, base=base, purpose=self.request.name)
        metrics = self._score(find_test_cases(site))
        if metric not in metrics:
            raise InputError(
                f"site {site.name!r}: test set {site.test_set} gives no {metric}, only {', '.join(metrics)}: "
                "cases of some classes may be missing; create a Site with one of these as primaryMetric"
            )
        stored_evaluations = read_evaluations(self.store, self.request.version, {site.test_set})
        earlier_evaluations = [
            evaluation
            for evaluation in stored_evaluations
            if (evaluation.name, evaluation.evaluator) == (FORGETTING, EVALUATOR)
        ]
        recorded_score = earlier_evaluations[0].metrics[metric].value if earlier_evaluations else None
        yield Measurement(
            site=site.name,
            task=site.task.name,
            evaluation_set=EvaluationSet.FROZEN,
            test_set=site.test_set,
            metric=metric,
            score=metrics[metric],
            recorded_score=recorded_score,
        )

    def measure_recent(self, config: SiteConfig, site: SiteRef) -> Iterator[Measurement]:
        """Evaluates labelled cases that arrived later, before any training of this lineage uses them."""
        site_store, metric = open_store(site.store), site.task.primary_metric
        split_key = read_site_key(site_store, config.name, self.request.split_keys[config.name])
        snapshot = ingest(config, site_store, split_key, workers=self.workers, progress=self.progress).snapshot
        learned_snapshots = snapshots_of_site(self.store, self.request.version, site.name)
        case_ids = recent_case_ids(site_store, snapshot, learned_snapshots)
        if not case_ids or len(case_ids) < self.request.minimum_cases:
            return
        cases = recent_cases(site, snapshot, case_ids)
        metrics = self._score(cases)
        if metric in metrics:  # a metric that needs two classes is missing where all cases have the same class
            yield Measurement(
                site=site.name,
                task=site.task.name,
                evaluation_set=EvaluationSet.RECENT,
                test_set=cases.digest,
                metric=metric,
                score=metrics[metric],
            )

    def _score(self, cases: CaseSet) -> dict[str, Metric]:
        """Scores the champion with the operating points that its answers have."""
        points = {**self.champion.learned_points, **find_operating_points(self.store, self.champion.digest)}
        return evaluator_of(cases.site.task).score(self.champion, cases, points)


def recent_cases(site: SiteRef, snapshot: str, case_ids: frozenset[str]) -> CaseSet:
    """Returns cases of a snapshot; their set is named by their ids."""
    store, guard = open_store(site.store), Guard({snapshot: frozenset(RECENT_SPLITS)})
    records = tuple(sample for sample in read_snapshot_manifest(store, snapshot).samples if sample.id in case_ids)
    open_samples = partial(open_splits, store, snapshot, RECENT_SPLITS, guard=guard, sample_ids=case_ids)
    return CaseSet(site, digest_json(sorted(case_ids)), records, open_samples)


def recent_case_ids(store: Store, snapshot: str, learned_snapshots: tuple[str, ...]) -> frozenset[str]:
    """Returns the ids of a snapshot's labelled cases that are new to a lineage.

    A case is new where no learned snapshot has it, or one of its images, with a label, and where no training has used
    its patient: images of one patient resemble each other, and the score would be too high.

    Args:
        store: of the site.
        snapshot: digest of the site's current snapshot.
        learned_snapshots: the site's snapshots that the lineage has learned.
    """
    learned_samples = [
        sample for digest in learned_snapshots for sample in read_snapshot_manifest(store, digest).samples
    ]
    labelled_samples = [sample for sample in learned_samples if sample.split is not Split.PENDING]
    sample_ids = {sample.id for sample in labelled_samples}
    image_digests = {image_digest for sample in labelled_samples for image_digest in _image_digests(sample)}
    patients = {sample.patient for sample in learned_samples if sample.split in TRAINING_SPLITS}
    return frozenset(
        sample.id
        for sample in read_snapshot_manifest(store, snapshot).samples
        if sample.split in RECENT_SPLITS
        and sample.id not in sample_ids
        and sample.patient not in patients
        and not _image_digests(sample) & image_digests
    )


def _image_digests(sample: SampleRecord) -> set[str]:
    mask = sample.target.mask if sample.target else None
    return {image.content for name, image in sample.images.items() if name != mask}
