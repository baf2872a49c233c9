"""The sequences of sites that methods learn, each in two orders."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional

from anamnesis.records import InputError
from benchmarks.scoreboard.phantoms import phantom_sites
from benchmarks.scoreboard.sites import BenchmarkSite, Cases, HeldOut, SiteEntry, data_folder, read_site

SIZE = 64
PHANTOM = "phantom"


@dataclass(frozen=True, slots=True)
class SiteSequence:
    """Sites in order.

    Attributes:
        title: one sentence for the page.
        entries: in the first order; the second is the reverse.
        held_out: the images that methods are evaluated on.
    """

    title: str
    entries: tuple[SiteEntry, ...]
    held_out: HeldOut = HeldOut.TEST


_LUNG = ("normal", "pneumonia")
_TUMOUR = ("no_tumour", "tumour")

SEQUENCES: Mapping[str, SiteSequence] = {
    "modality": SiteSequence(
        "Five hospitals, five modalities, twelve classes: class-incremental.",
        (
            SiteEntry("cxr_kermany", "pneumonia", _LUNG),
            SiteEntry("ct_lung_iqoth", "lung-cancer", ("normal", "malignant")),
            SiteEntry("mri_brain_tumour", "brain-tumour", ("glioma", "meningioma", "pituitary")),
            SiteEntry("micro_bloodcell_bccd", "blood-cell", ("RBC", "WBC", "Platelets")),
            SiteEntry("sts_pet", "sarcoma", _TUMOUR),
        ),
    ),
    "site": SiteSequence(
        "The same two classes of chest X-ray at two hospitals, children and adults: domain-incremental.",
        (SiteEntry("cxr_kermany", "pneumonia", _LUNG), SiteEntry("cxr_nih", "pneumonia", _LUNG)),
    ),
    "shift": SiteSequence(
        "One cohort of chest X-rays, half of its patients as if from another machine: domain-incremental.",
        (SiteEntry("cxr_kermany", "pneumonia", _LUNG),),
    ),
    "patient": SiteSequence(
        "The same 51 patients and the same question in CT, MR and PET: domain-incremental.",
        tuple(SiteEntry(folder, "sarcoma", _TUMOUR) for folder in ("sts_ct", "sts_mr", "sts_pet")),
    ),
    "development": SiteSequence(
        "For every choice of a hyperparameter; evaluated on patients held out of training splits.",
        (
            SiteEntry("seg_nuclei_dsb2018", "staining", ("fluorescence", "histology_purple")),
            SiteEntry("cxr_nih", "pneumonia", _LUNG),
            SiteEntry("sts_ct", "sarcoma-ct", _TUMOUR),
            SiteEntry("sts_mr", "sarcoma-mr", _TUMOUR),
            SiteEntry("cifar10", "vehicle", ("airplane", "automobile")),
        ),
        HeldOut.VALIDATION,
    ),
}
"""By name. *patient* and *shift* share one question; *development* keeps CT and MR apart, as *modality* keeps sites."""


def load_sequence(
    name: str, order: int = 0, images: int = 0, size: int = SIZE, folder: Path | None = None
) -> tuple[BenchmarkSite, ...]:
    """Returns the sites of a sequence, the first to be learned first.

    Args:
        name: one of ``SEQUENCES``, or ``phantom``, which needs no data.
        order: 0 as declared, 1 reversed.
        images: of each site and split; 0 takes all.
        size: pixels.
        folder: of real images; by default where ``ANAMNESIS_DATA`` says.

    Raises:
        InputError: no such sequence or order, or a site is missing.
    """
    if name not in (*SEQUENCES, PHANTOM):
        raise InputError(f"sequence: {name!r} is not one of {', '.join((*SEQUENCES, PHANTOM))}")
    if order not in (0, 1):
        raise InputError(f"order: expected 0 or 1, found {order}")
    if name == PHANTOM:
        sites = phantom_sites(size)
    else:
        image_folder, sequence = folder or data_folder(), SEQUENCES[name]
        cap_argument = {"cap": 2400} if name == "shift" else {}  # two halves
        sites = tuple(
            read_site(image_folder, entry, sequence.held_out, size, **cap_argument) for entry in sequence.entries
        )
    if name == "shift":
        sites = split_site(sites[0])
    sites = tuple(site.take_first(images) for site in sites) if images else sites
    return sites[::-1] if order else sites


def split_site(site: BenchmarkSite) -> tuple[BenchmarkSite, BenchmarkSite]:
    """Returns the site as two: patients of even number unchanged, the others with another acquisition."""
    half_sites = []
    for parity, name in enumerate(("as-taken", "shifted")):
        train, held_out = (
            cases[torch.nonzero(cases.groups % 2 == parity)[:, 0]] for cases in (site.train, site.held_out)
        )
        if parity:
            train, held_out = shift_acquisition(train), shift_acquisition(held_out)
        half_sites.append(BenchmarkSite(name, site.task, train, held_out))
    return half_sites[0], half_sites[1]


def shift_acquisition(cases: Cases) -> Cases:
    """Returns the cases as another machine might take them: blurred over 3 x 3, gamma 1.6, a fixed noise of 5 %."""
    blurred = functional.avg_pool2d(functional.pad(cases.images.float(), (1, 1, 1, 1), "replicate"), 3, stride=1)
    noise = torch.randn(blurred.shape, generator=torch.Generator().manual_seed(0))
    return replace(cases, images=(blurred**1.6 + 0.05 * noise).clamp(0, 1).half())
