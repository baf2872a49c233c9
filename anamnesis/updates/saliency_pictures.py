"""Pictures of the maps of answers, in the site's own store: they show patients and never leave it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from torch import Tensor

from anamnesis.evaluation.report import SaliencyPicture
from anamnesis.evaluation.saliency_overlay import draw_maps
from anamnesis.records import SiteRef, canonical_json, decode, digest_bytes, digest_hex, encode
from anamnesis.storage.store import open_store
from anamnesis.updates.explained_answers import Answers, Probes

PICTURE_COUNT = 3
"""Of wrong answers, and as many of right ones."""


@dataclass(frozen=True, slots=True)
class PictureSide:
    """A version's answers to the probes, and their maps [N, ...]."""

    version: str
    answers: Answers
    maps: Tensor


def write_pictures(
    site: SiteRef, version: str, probes: Probes, sides: Sequence[PictureSide], labels: Sequence[str]
) -> None:
    """Writes pictures and then their index to the site's own store, in place of those of an earlier evaluation.

    Args:
        site: of the images.
        version: digest of the evaluated version.
        probes: the images.
        sides: the earlier version, if its maps are shown, and the evaluated version; empty where nothing is shown.
        labels: the model's label space.
    """
    store, folder = open_store(site.store), pictures_folder(version, site.test_set)
    index = []
    for row in choose_rows(probes, sides[-1].answers) if sides else []:
        image, *maps = salient_plane(probes.images[row], [side.maps[row].cpu() for side in sides])
        png = draw_maps(image.movedim(0, -1).squeeze(-1).numpy(), [saliency_map.numpy() for saliency_map in maps])
        answer_labels = [labels[int(side.answers.class_indices[row])] for side in sides]
        picture = SaliencyPicture(
            site=site.name,
            label=labels[int(probes.targets[row])],
            version_before=sides[0].version if len(sides) > 1 else "",
            version_after=version,
            digest=digest_bytes(png),
            answer=answer_labels[-1],
            confidence=Decimal(f"{float(sides[-1].answers.confidences[row]):.2f}"),
            answer_before=answer_labels[0] if len(sides) > 1 else "",
        )
        store.put(f"{folder}/{digest_hex(picture.digest)}.png", png)
        index.append(picture)
    store.put(f"{folder}/index.json", canonical_json(encode(tuple(index))))


def salient_plane(image: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Returns an image [C, H, W] and its maps [h, w]: of a volume, the plane in which the last map is strongest.

    Args:
        image: [C, H, W] or [C, D, H, W].
        maps: each with the spatial axes of the image, at its own resolution.
    """
    if image.dim() == 3:
        return image, *maps
    strongest_plane = int(maps[-1].flatten(1).sum(1).argmax())
    depth_share = (strongest_plane + 0.5) / len(maps[-1])
    return image[:, int(depth_share * image.shape[1])], *(volume[int(depth_share * len(volume))] for volume in maps)


def choose_rows(probes: Probes, answers: Answers) -> list[int]:
    """Returns the wrong answers with the highest confidence, then right ones at random: by the digest of their ids."""
    is_right = (answers.class_indices == probes.targets).tolist()
    rows = range(len(is_right))
    wrong_rows = sorted((row for row in rows if not is_right[row]), key=lambda row: -float(answers.confidences[row]))
    right_rows = sorted(
        (row for row in rows if is_right[row]), key=lambda row: digest_bytes(probes.sample_ids[row].encode())
    )
    return wrong_rows[:PICTURE_COUNT] + right_rows[:PICTURE_COUNT]


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
