"""Saliency of a version: whether the maps of its answers are faithful, and those of earlier sites retained."""

from collections.abc import Sequence
from decimal import Decimal

from anamnesis.evaluation.saliency import (
    faithfulness,
    is_faithful,
    map_retention,
    random_iou,
    same_class_iou,
)
from anamnesis.evaluation.saliency.faithfulness import STEPS
from anamnesis.evaluation.statistics import mean_metrics
from anamnesis.records import (
    Evaluation,
    Metric,
    Progress,
    SiteRef,
    TaskType,
    digest_json,
    find_class_indices,
    ignore_progress,
)
from anamnesis.records.metric_names import COSINE, IOU, IOU_RANDOM, LEARNED_SHARE, SPEARMAN, SSIM
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import SALIENCY
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store
from anamnesis.updates.case_sets import find_test_cases
from anamnesis.updates.explained_answers import PROBE_COUNT, ModelExplainer, Probes, select_probes
from anamnesis.updates.model import LoadedModel, load_model
from anamnesis.updates.saliency_pictures import PictureSide, write_pictures
from anamnesis.updates.version_chain import last_version_of_site

EVALUATOR = digest_json(
    {"name": SALIENCY, "revision": 4, "probes": PROBE_COUNT, "steps": STEPS, "score": "logit minus task mean"}
)


def evaluate_saliency(
    store: Store, version: str, sites: Sequence[SiteRef], progress: Progress = ignore_progress
) -> tuple[Evaluation, ...]:
    """Evaluates the maps of a version's answers on the test set of every site with a classification.

    On each site: whether the maps of the answers are faithful (``faithfulness``). On sites that an earlier version had
    learned: how much of the map of the true class the learning part of the network retained since (``map_retention``).
    It uses ``PROBE_COUNT`` test images of each site, and writes pictures to the site's own store where the maps are
    faithful. An evaluation without metrics says that the method has no maps; without ``IoU``, that nothing was learned
    earlier, or that nothing learns: frozen features retain their maps by construction.

    Args:
        store: the model's registry.
        version: digest of the version.
        sites: with their stores and test sets.
        progress: called per site.
    """
    evaluations = {
        stored_evaluation.test_set: stored_evaluation
        for stored_evaluation in read_evaluations(store, version)
        if stored_evaluation.evaluator == EVALUATOR
    }
    pending_sites = [
        site for site in sites if site.test_set not in evaluations and site.task.type is TaskType.CLASSIFICATION
    ]
    model = load_model(store, version) if pending_sites else None
    for site_number, site in enumerate(pending_sites, start=1):
        if model:
            evaluation = Evaluation(
                version=version,
                site=site.name,
                task=site.task.name,
                test_set=site.test_set,
                evaluator=EVALUATOR,
                name=SALIENCY,
                metrics=_evaluate_site(store, version, model, site),
            )
            evaluations[site.test_set] = write_evaluation(store, evaluation)
        progress(site_number, len(pending_sites), "saliency maps")
    return tuple(evaluations[site.test_set] for site in sites if site.test_set in evaluations)


def _evaluate_site(store: Store, version: str, model: LoadedModel, site: SiteRef) -> dict[str, Metric]:
    """Returns all metrics of one site and writes its pictures."""
    description = model.description
    if not description.knows(site.task):
        return {}
    cases = find_test_cases(site)
    task_classes = find_class_indices(site.task, description.labels)
    probes = select_probes(cases.read_tensors(description), cases.patients, task_classes)
    explainer = ModelExplainer(model, site)
    answers = explainer.answer(probes.inputs)
    maps = explainer.explain(probes, answers.class_indices)
    if maps is None:
        return {}
    metrics = faithfulness(
        explainer.probabilities,
        probes.images,
        class_indices=answers.class_indices,
        maps=maps.whole,
        patients=probes.patients,
    )
    metrics |= mean_metrics({LEARNED_SHARE: maps.learned_share}, probes.patients)
    base = read_version(store, version).base
    earlier = last_version_of_site(store, base, site.name) if base else None
    sides = [PictureSide(version, answers, maps.whole)] if is_faithful(metrics) else []
    if earlier:
        earlier_explainer = ModelExplainer(load_model(store, earlier[0]), site)
        metrics |= _retention(explainer, earlier_explainer, probes)
        if sides and _was_faithful(store, earlier[0], site):
            earlier_answers = earlier_explainer.answer(probes.inputs)
            earlier_maps = earlier_explainer.explain(probes, earlier_answers.class_indices)
            sides = [PictureSide(earlier[0], earlier_answers, earlier_maps.whole), *sides] if earlier_maps else sides
    write_pictures(site, version, probes, sides=sides, labels=description.labels)
    return metrics


def _retention(explainer: ModelExplainer, earlier_explainer: ModelExplainer, probes: Probes) -> dict[str, Metric]:
    """Returns the retention of the true class's maps in what learns, and its floors; nothing where nothing learns.

    The true class, because both maps must explain the same class: an answer that changed says nothing about maps.
    """
    after, before = (item.explain(probes, probes.targets) for item in (explainer, earlier_explainer))
    if after is None or before is None or after.learned is None or before.learned is None:
        return {}
    # Where all maps before are zero, the scores are 0 and not missing: otherwise the gate would take them for frozen.
    zero_metrics = {name: Metric(Decimal(0), 0) for name in (IOU, SSIM, COSINE, SPEARMAN)}
    pixels = before.learned[0].numel()
    return {
        **zero_metrics,
        **map_retention(before.learned, after.learned, probes.patients),
        **same_class_iou(before.learned, probes.targets, probes.patients),
        IOU_RANDOM: Metric(Decimal(f"{random_iou(pixels):.6f}"), len(probes.targets)),
    }


def _was_faithful(store: Store, version: str, site: SiteRef) -> bool:
    stored_evaluations = read_evaluations(store, version, {site.test_set})
    return any(item.evaluator == EVALUATOR and is_faithful(item.metrics) for item in stored_evaluations)
