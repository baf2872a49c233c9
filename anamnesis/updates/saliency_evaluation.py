"""Whether a version still looks where the version looked that learned the task: retention of Grad-CAM maps."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch
from torch import Tensor

from anamnesis.evaluation.report import Picture
from anamnesis.evaluation.saliency import another_of_its_class, grad_cam, random_iou, retention
from anamnesis.evaluation.saliency_overlay import before_after
from anamnesis.records import (
    Evaluation,
    Metric,
    Progress,
    SiteRef,
    TaskType,
    canonical_json,
    decode,
    digest_bytes,
    digest_json,
    encode,
    hex_of,
    silent,
)
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import SALIENCY
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store, open_store
from anamnesis.training import numerics_for
from anamnesis.updates.frozen_evaluation import network_of, read_probe
from anamnesis.updates.model import Model, load_model
from anamnesis.updates.version_chain import last_of_site

PROBES = 64
PICTURES = 3


def evaluate_saliency(
    registry: str, version: str, sites: Sequence[SiteRef], progress: Progress = silent
) -> tuple[Evaluation, ...]:
    """Compares a version's saliency maps on old tasks with those of the version that had just learned each of them.

    The first ``PROBES`` test images of each site, by sample id, for their true class. Pictures of ``PICTURES`` of them
    are written to the site's own store. A site that only the version itself has learned is left out.

    Args:
        registry: URL of the model's registry.
        version: digest of the version.
        sites: learned before, with their stores and test sets.
        progress: called per site.
    """
    store = open_store(registry)
    evaluator = digest_json({"name": SALIENCY, "revision": 2, "probes": PROBES, "score": "logit minus task mean"})
    found = {e.test_set: e for e in read_evaluations(store, version) if e.evaluator == evaluator}
    todo = [site for site in sites if site.test_set not in found and site.task.type is TaskType.CLASSIFICATION]
    after = load_model(store, version) if todo else None
    base = read_version(store, version).base
    for done, site in enumerate(todo, start=1):
        own = last_of_site(store, base, site.name) if base else None
        if after and own and (metrics := _compare(store, own[0], version, after, site)):
            evaluation = Evaluation(version, site.name, site.task.name, site.test_set, evaluator, SALIENCY, metrics)
            found[site.test_set] = write_evaluation(store, evaluation)
        progress(done, len(todo), "saliency maps")
    return tuple(found[site.test_set] for site in sites if site.test_set in found)


def pictures_folder(version: str, test_set: str) -> str:
    """Returns where the pictures of a version on a test set lie in the site's own store."""
    return f"pictures/{hex_of(version)}/{hex_of(test_set)}"


def read_pictures(site: SiteRef, version: str) -> tuple[tuple[Picture, bytes], ...]:
    """Returns the pictures that ``evaluate_saliency`` left at a site, each with its PNG; none where there are none."""
    store, folder = open_store(site.store), pictures_folder(version, site.test_set)
    if not store.exists(f"{folder}/index.json"):
        return ()
    index = decode(tuple[Picture, ...], json.loads(store.get(f"{folder}/index.json")), "pictures")
    return tuple((picture, store.get(f"{folder}/{hex_of(picture.digest)}.png")) for picture in index)


@dataclass(frozen=True, slots=True)
class _Maps:
    """Saliency maps [N, h, w] of the probe images before and after."""

    before: Tensor
    after: Tensor


def _compare(store: Store, own: str, version: str, after: Model, site: SiteRef) -> dict[str, Metric]:
    """Returns the retention metrics and their floors, and leaves pictures in the site's store."""
    before = load_model(store, own)
    probe = read_probe(after, site)
    if probe is None or network_of(before) is None or network_of(after) is None:
        return {}
    chosen = torch.tensor(sorted(range(len(probe.split.ids)), key=lambda row: probe.split.ids[row])[:PROBES])
    images, columns = probe.split.images[chosen].float(), probe.split.targets[chosen]
    maps = _Maps(*(_maps(model, images, columns, probe.columns) for model in (before, after)))
    labels = [after.description.labels[column] for column in columns[:PICTURES].tolist()]
    _draw(site, (own, version), images, maps, labels)
    # A model that looked nowhere on any image has nothing to keep: it scores 0, so that no gate takes it for unjudged.
    nowhere = {name: Metric(Decimal(0), 0) for name in ("IoU", "SSIM", "Cosine", "Spearman")}
    return {**nowhere, **retention(maps.before, maps.after), **_floors(maps, columns)}


def _maps(model: Model, images: Tensor, columns: Tensor, competing: tuple[int, ...]) -> Tensor:
    numerics = numerics_for(model.description.configuration)
    network = network_of(model).to(numerics.device)
    with numerics.applied():
        return grad_cam(network, images.to(numerics.device), columns, competing).cpu()


def _floors(maps: _Maps, columns: Tensor) -> dict[str, Metric]:
    """Returns what two unrelated maps would score, and the map of another image of the same class."""
    pixels = maps.before.shape[1] * maps.before.shape[2]
    floors = {"IoURandom": Metric(Decimal(f"{random_iou(pixels):.6f}"), len(columns))}
    case, other = another_of_its_class(columns)
    same_class = retention(maps.before[case], maps.after[other]) if len(case) else {}
    return {**floors, **{f"{name}SameClass": metric for name, metric in same_class.items() if name == "IoU"}}


def _draw(site: SiteRef, versions: tuple[str, str], images: Tensor, maps: _Maps, labels: Sequence[str]) -> None:
    """Writes pictures and, last, their index to the site's own store: they show patients and never leave it."""
    store, folder = open_store(site.store), pictures_folder(versions[1], site.test_set)
    index = []
    for number, label in enumerate(labels):
        picture = before_after(
            images[number].movedim(0, -1).squeeze(-1).numpy(), maps.before[number].numpy(), maps.after[number].numpy()
        )
        digest = digest_bytes(picture)
        store.put(f"{folder}/{hex_of(digest)}.png", picture)
        index.append(Picture(site.name, label, versions[0], versions[1], digest))
    store.put(f"{folder}/index.json", canonical_json(encode(index)))
