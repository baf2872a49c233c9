"""Evaluates the champion again, on frozen test sets and on recent cases. Nothing is trained."""

from collections.abc import Iterator
from dataclasses import dataclass

from anamnesis.records import (
    TRAINING_SPLITS,
    AnamnesisError,
    EvaluationSet,
    InputError,
    Measurement,
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
from anamnesis.registry.opening import open_registry
from anamnesis.registry.run_results import read_scheduled_evaluation, write_scheduled_evaluation
from anamnesis.snapshots import Guard, SampleRecord, ingest, open_splits, read_site_key, read_snapshot_manifest
from anamnesis.storage.store import Store, open_store
from anamnesis.updates.frozen_evaluation import EVALUATOR, cases_of_site, read_test_cases, score_cases
from anamnesis.updates.model import LoadedModel, load_model
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
        request=request, store=store, model=load_model(store, request.version), workers=workers, progress=progress
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
    model: LoadedModel
    workers: int
    progress: Progress

    def measure_frozen(self, config: SiteConfig, site: SiteRef) -> Iterator[Measurement]:
        """Evaluates the current test set again; the score of the update is reported beside the new score."""
        metric = site.task.primary_metric
        cases = read_test_cases(self.model, site)
        if cases is None:
            raise InputError(
                f"site {site.name!r}: version {self.request.version} has not learned all classes of task "
                f"{site.task.name!r}; create the Site again with the classes that the version learned, or with another "
                "task name"
            )
        metrics = score_cases(self.model, site.task, cases)
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
        guard = Guard({snapshot: frozenset(RECENT_SPLITS)})
        samples = open_splits(site_store, snapshot, RECENT_SPLITS, guard=guard, sample_ids=case_ids)
        metrics = score_cases(self.model, site.task, cases_of_site(self.model, site, samples))
        if metric in metrics:  # a metric that needs two classes is missing where all cases have the same class
            digest = digest_json(sorted(case_ids))
            yield Measurement(
                site=site.name,
                task=site.task.name,
                evaluation_set=EvaluationSet.RECENT,
                test_set=digest,
                metric=metric,
                score=metrics[metric],
            )


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
