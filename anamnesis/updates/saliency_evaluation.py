"""Retention of Grad-CAM maps: a version compared with the version that had just learned the task."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch
from torch import Tensor

from anamnesis.evaluation.report import SaliencyPicture
from anamnesis.evaluation.saliency import grad_cam, map_retention, random_iou, same_class_pairs
from anamnesis.evaluation.saliency_overlay import draw_before_after
from anamnesis.records import (
    Evaluation,
    Metric,
    Progress,
    SiteRef,
    TaskType,
    canonical_json,
    decode,
    digest_bytes,
    digest_hex,
    digest_json,
    encode,
    ignore_progress,
)
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import SALIENCY
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store, open_store
from anamnesis.training import precision_for
from anamnesis.updates.frozen_evaluation import read_test_cases, saliency_network
from anamnesis.updates.model import LoadedModel, load_model
from anamnesis.updates.version_chain import last_version_of_site

PROBE_COUNT = 64
PICTURE_COUNT = 3


def evaluate_saliency(
    store: Store, version: str, sites: Sequence[SiteRef], progress: Progress = ignore_progress
) -> tuple[Evaluation, ...]:
    """Compares a version's saliency maps on old tasks with the maps of the versions that had just learned them.

    It uses the first ``PROBE_COUNT`` test images of each site, by sample id, and their true class. It writes pictures
    of ``PICTURE_COUNT`` of them to the site's own store. A site that only this version has learned is left out.

    Args:
        store: the model's registry.
        version: digest of the version.
        sites: learned earlier, with their stores and test sets.
        progress: called per site.
    """
    evaluator = digest_json({"name": SALIENCY, "revision": 3, "probes": PROBE_COUNT, "score": "logit minus task mean"})
    evaluations = {
        stored_evaluation.test_set: stored_evaluation
        for stored_evaluation in read_evaluations(store, version)
        if stored_evaluation.evaluator == evaluator
    }
    pending_sites = [
        site for site in sites if site.test_set not in evaluations and site.task.type is TaskType.CLASSIFICATION
    ]
    model = load_model(store, version) if pending_sites else None
    base = read_version(store, version).base
    for site_number, site in enumerate(pending_sites, start=1):
        earlier_version = last_version_of_site(store, base, site.name) if base else None
        if model and earlier_version:
            metrics = _compare_maps(store, earlier_version[0], version=version, model_after=model, site=site)
            evaluation = Evaluation(
                version=version,
                site=site.name,
                task=site.task.name,
                test_set=site.test_set,
                evaluator=evaluator,
                name=SALIENCY,
                metrics=metrics,
            )
            evaluations[site.test_set] = write_evaluation(store, evaluation)
        progress(site_number, len(pending_sites), "saliency maps")
    return tuple(evaluations[site.test_set] for site in sites if site.test_set in evaluations)


def pictures_folder(version: str, test_set: str) -> str:
    """Returns the folder, in the site's own store, of a version's pictures on a test set."""
    return f"pictures/{digest_hex(version)}/{digest_hex(test_set)}"


def read_pictures(site: SiteRef, version: str) -> tuple[tuple[SaliencyPicture, bytes], ...]:
    """Returns the pictures that ``evaluate_saliency`` wrote at a site, each with its PNG."""
    store, folder = open_store(site.store), pictures_folder(version, site.test_set)
    if not store.exists(f"{folder}/index.json"):
        return ()
    index = decode(tuple[SaliencyPicture, ...], json.loads(store.get(f"{folder}/index.json")), "pictures")
    return tuple((picture, store.get(f"{folder}/{digest_hex(picture.digest)}.png")) for picture in index)


@dataclass(frozen=True, slots=True)
class _MapPair:
    """Saliency maps [N, h, w] of the probe images before and after."""

    maps_before: Tensor
    maps_after: Tensor


def _compare_maps(
    store: Store, earlier_version: str, version: str, model_after: LoadedModel, site: SiteRef
) -> dict[str, Metric]:
    """Returns the retention metrics and their floors, and writes pictures to the site's store.

    Nothing where Grad-CAM does not support one of the networks. The evaluation is stored without metrics, so that the
    gate does not wait for it.
    """
    model_before = load_model(store, earlier_version)
    cases = read_test_cases(model_after, site)
    if cases is None or saliency_network(model_before) is None or saliency_network(model_after) is None:
        return {}
    probe_rows = torch.tensor(
        sorted(range(len(cases.split.sample_ids)), key=lambda row: cases.split.sample_ids[row])[:PROBE_COUNT]
    )
    images, class_indices = cases.split.images[probe_rows].float(), cases.split.targets[probe_rows]
    maps = _MapPair(
        *(_grad_cam_maps(model, images, class_indices, cases.class_indices) for model in (model_before, model_after))
    )
    labels = [model_after.description.labels[class_index] for class_index in class_indices[:PICTURE_COUNT].tolist()]
    _write_pictures(site, (earlier_version, version), images=images, maps=maps, labels=labels)
    # Where all maps before are zero, the scores are 0 and not missing: otherwise the gate would wait for them.
    zero_metrics = {name: Metric(Decimal(0), 0) for name in ("IoU", "SSIM", "Cosine", "Spearman")}
    return {
        **zero_metrics,
        **map_retention(maps.maps_before, maps.maps_after),
        **_retention_floors(maps, class_indices),
    }


def _grad_cam_maps(
    model: LoadedModel, images: Tensor, class_indices: Tensor, contrast_classes: tuple[int, ...]
) -> Tensor:
    precision = precision_for(model.description.configuration)
    network = saliency_network(model).to(precision.device)
    with precision.deterministic_mode():
        return grad_cam(network, images.to(precision.device), class_indices, contrast_classes).cpu()


def _retention_floors(maps: _MapPair, class_indices: Tensor) -> dict[str, Metric]:
    """Returns the IoU of two random maps, and the IoU with the map of another image of the same class."""
    pixels = maps.maps_before.shape[1] * maps.maps_before.shape[2]
    floors = {"IoURandom": Metric(Decimal(f"{random_iou(pixels):.6f}"), len(class_indices))}
    case_rows, partner_rows = same_class_pairs(class_indices)
    same_class = map_retention(maps.maps_before[case_rows], maps.maps_after[partner_rows]) if len(case_rows) else {}
    return {**floors, **{f"{name}SameClass": metric for name, metric in same_class.items() if name == "IoU"}}


def _write_pictures(
    site: SiteRef, versions: tuple[str, str], images: Tensor, maps: _MapPair, labels: Sequence[str]
) -> None:
    """Writes pictures and then their index to the site's own store: pictures show patients and never leave it."""
    store, folder = open_store(site.store), pictures_folder(versions[1], site.test_set)
    index = []
    for number, label in enumerate(labels):
        picture = draw_before_after(
            images[number].movedim(0, -1).squeeze(-1).numpy(),
            maps.maps_before[number].numpy(),
            maps.maps_after[number].numpy(),
        )
        digest = digest_bytes(picture)
        store.put(f"{folder}/{digest_hex(digest)}.png", picture)
        index.append(
            SaliencyPicture(
                site=site.name, label=label, version_before=versions[0], version_after=versions[1], digest=digest
            )
        )
    store.put(f"{folder}/index.json", canonical_json(encode(index)))
