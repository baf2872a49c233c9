"""The champion judged again: on frozen test sets, and on cases that arrived since it learned. Nothing is trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from anamnesis.records import (
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
from anamnesis.registry.run_results import read_scheduled_evaluation, write_scheduled_evaluation
from anamnesis.snapshots import Guard, SampleRecord, ingest, open_split, read_snapshot_manifest, read_split_key
from anamnesis.storage.store import Store, open_store
from anamnesis.updates.frozen_evaluation import EVALUATOR, cases_of_site, read_test_cases, score_cases
from anamnesis.updates.model import LoadedModel, load_model
from anamnesis.updates.requests import EvaluationRequest
from anamnesis.updates.version_chain import snapshots_of_site

RECENT_SPLITS = (Split.TRAIN, Split.RESERVE)
"""Where cases that arrived later can stand: a frozen test set never grows."""


def evaluate_scheduled(
    request: EvaluationRequest, workers: int = 2, progress: Progress = ignore_progress
) -> ScheduledEvaluation:
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
    if evaluation := read_scheduled_evaluation(store, request.name):
        return evaluation
    site_evaluator = _SiteEvaluator(request, store, load_model(store, request.version), workers, progress)
    measurements: list[Measurement] = []
    problems: dict[tuple[str, str], None] = {}  # each once: a store that is gone fails both windows alike
    for site_number, (config, site) in enumerate(request.sites, start=1):
        for measure in (site_evaluator.measure_frozen, site_evaluator.measure_recent):
            try:
                measurements += measure(config, site)
            except AnamnesisError as error:
                problems[site.name, str(error)] = None
        progress(site_number, len(request.sites), "sites")
    evaluation = ScheduledEvaluation(request.name, request.version, request.time, tuple(measurements), tuple(problems))
    return write_scheduled_evaluation(store, evaluation)


@dataclass(frozen=True, slots=True)
class _SiteEvaluator:
    """One evaluation of one version; each window yields a measurement, or none where there is too little to judge."""

    request: EvaluationRequest
    store: Store
    model: LoadedModel
    workers: int
    progress: Progress

    def measure_frozen(self, config: SiteConfig, site: SiteRef) -> Iterator[Measurement]:
        """Judges the test set in force anew: what is stored only stands beside it."""
        metric = site.task.primary_metric
        cases = read_test_cases(self.model, site)
        metrics = score_cases(self.model, site.task, cases) if cases else {}
        if metric not in metrics:
            raise InputError(f"site {site.name!r}: the version gives no {metric} on test set {site.test_set}")
        stored_evaluations = read_evaluations(self.store, self.request.version, {site.test_set})
        earlier_evaluations = [
            evaluation
            for evaluation in stored_evaluations
            if (evaluation.name, evaluation.evaluator) == (FORGETTING, EVALUATOR)
        ]
        recorded_score = earlier_evaluations[0].metrics[metric].value if earlier_evaluations else None
        yield Measurement(
            site.name, site.task.name, EvaluationSet.FROZEN, site.test_set, metric, metrics[metric], recorded_score
        )

    def measure_recent(self, config: SiteConfig, site: SiteRef) -> Iterator[Measurement]:
        """Judges labelled cases that arrived since, before any training of this lineage uses them."""
        site_store, metric = open_store(site.store), site.task.primary_metric
        snapshot = ingest(
            config, site_store, read_split_key(self.request.split_key), self.workers, self.progress
        ).snapshot
        learned_snapshots = snapshots_of_site(self.store, self.request.version, site.name)
        case_ids = recent_case_ids(site_store, snapshot, learned_snapshots)
        if not case_ids or len(case_ids) < self.request.minimum_cases:
            return
        guard = Guard({snapshot: frozenset(RECENT_SPLITS)})
        samples = chain.from_iterable(
            open_split(site_store, snapshot, split, guard, case_ids) for split in RECENT_SPLITS
        )
        metrics = score_cases(self.model, site.task, cases_of_site(self.model, site, samples))
        if metric in metrics:  # else the cases are all of one class, and it needs two
            digest = digest_json(sorted(case_ids))
            yield Measurement(site.name, site.task.name, EvaluationSet.RECENT, digest, metric, metrics[metric])


def recent_case_ids(store: Store, snapshot: str, learned_snapshots: tuple[str, ...]) -> frozenset[str]:
    """Returns the ids of a snapshot's labelled cases that are new to a lineage, images and patients.

    A case is new where no learned snapshot has it or any of its images with a label, and where no training has seen
    its patient: a patient's images resemble each other, and the score would flatter.

    Args:
        store: the site's own.
        snapshot: what lies at the site now.
        learned_snapshots: the snapshots of the site that the lineage has learned.
    """
    learned_samples = [
        sample for digest in learned_snapshots for sample in read_snapshot_manifest(store, digest).samples
    ]
    labelled_samples = [sample for sample in learned_samples if sample.split is not Split.PENDING]
    sample_ids, image_digests = (
        {sample.id for sample in labelled_samples},
        {image_digest for sample in labelled_samples for image_digest in _image_digests(sample)},
    )
    patients = {sample.patient for sample in learned_samples if sample.split is Split.TRAIN}
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
