"""How well small versions separate copies of an image from images of other patients, by size and normalisation.

The images are real ones (``ANAMNESIS_DATA``, by default ``../shared/data``). A false copy is an image that correlates
above .95, in any of eight positions, with a test image of another patient.
"""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from anamnesis.snapshots.returned_patients import MINIMUM_CORRELATION
from anamnesis.snapshots.small_versions import Floats, best_correlations, small_versions

SIDES = (8, 16, 32, 64)
MAXIMUM_QUERIES, MAXIMUM_REFERENCES, COPIED_IMAGES = 1500, 500, 100


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Grey images with their patients, and whether they are test images."""

    images: Sequence[Floats]
    patients: Sequence[str]
    is_test: Sequence[bool]


def run() -> list[dict[str, object]]:
    """Returns one row per site, size and normalisation."""
    return [
        _measure(site, data, side, is_local)
        for site, data in _read_sites(Path(os.environ.get("ANAMNESIS_DATA", "../shared/data")))
        for side in SIDES
        for is_local in (False, True)
    ]


def _measure(site: str, data: LabelledImages, side: int, is_local: bool) -> dict[str, object]:
    generator = np.random.default_rng(0)
    order = generator.permutation(len(data.images))
    references = [row for row in order if data.is_test[row]][:MAXIMUM_REFERENCES]
    queries = [row for row in order if not data.is_test[row]][:MAXIMUM_QUERIES]

    def vectors(images: Sequence[Floats]) -> Floats:
        return np.concatenate([small_versions(image[None], side, is_local) for image in images])

    reference_vectors = vectors([data.images[row] for row in references])
    correlations = best_correlations(vectors([data.images[row] for row in queries]), reference_vectors)
    patients = np.array(data.patients)
    correlations[patients[queries][:, None] == patients[references]] = 0
    best = correlations.max(1)
    result: dict[str, object] = {
        "site": site,
        "side": side,
        "normalisation": "local" if is_local else "whole image",
        "images": len(queries),
        "test images": len(references),
        "false copies in 1000": round(1000 * float((best > MINIMUM_CORRELATION).mean()), 1),
        "99.9 % quantile": round(float(np.quantile(best, 0.999)), 3),
    }
    originals = [data.images[row] for row in references[:COPIED_IMAGES]]
    for name, edit in COPIES.items():
        copies = vectors([np.ascontiguousarray(edit(image)) for image in originals])
        own_correlations = best_correlations(copies, reference_vectors[: len(originals)]).diagonal()
        result[name] = round(float((own_correlations > MINIMUM_CORRELATION).mean()), 2)
    return result


def _jpeg(image: Floats, quality: int) -> Floats:
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _rescale(image: Floats, factor: float) -> Floats:
    height, width = (round(length * factor) for length in image.shape)
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), Image.Resampling.BILINEAR))


def _brighten(image: Floats) -> Floats:
    return np.clip(image * 1.2 + 20.0, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Floats], Floats]] = {
    "mirrored": lambda image: image[:, ::-1],
    "turned": np.rot90,
    "JPEG 75": lambda image: _jpeg(image, 75),
    "JPEG 30": lambda image: _jpeg(image, 30),
    "half size": lambda image: _rescale(image, 0.5),
    "double size": lambda image: _rescale(image, 2),
    "brighter": _brighten,
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "gamma 1.4": lambda image: (255 * (image / 255) ** 1.4).astype(np.uint8),
    "inverted": lambda image: 255 - image,
    "all": lambda image: np.rot90(_jpeg(_rescale(_brighten(image)[:, ::-1], 0.8), 60)),
}


def _read_sites(folder: Path) -> Iterator[tuple[str, LabelledImages]]:
    for table in sorted((folder / "native224").glob("*/labels.csv")):
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        images = [np.asarray(Image.open(table.parent / row["file"]).convert("L")) for row in rows]
        is_test = [row["split"] == "test" for row in rows]
        yield f"{table.parent.name} 224", LabelledImages(images, [row["patient"] for row in rows], is_test)
    for name in ("cxr_kermany", "cxr_nih", "sts_ct", "sts_mr", "sts_pet"):
        archive = np.load(folder / name / "images.npz")
        images = archive["images"] if archive["images"].ndim == 3 else archive["images"].mean(-1).astype(np.uint8)
        yield f"{name} 64", LabelledImages(images, [str(group) for group in archive["groups"]], archive["split"] == 1)
