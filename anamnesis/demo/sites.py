"""The four sites of the demonstration: real images where there are any, else phantoms."""

from dataclasses import dataclass
from pathlib import Path

from anamnesis.records import Progress

STUDIES_PER_SITE = 400
"""Studies taken of each real site, over both splits."""
PATIENTS_PER_SITE = 150
"""Patients of each phantom site, two images each; 40 of each class keep every test set complete."""


@dataclass(frozen=True, slots=True)
class DemoSite:
    """A site as its resource will declare it.

    Attributes:
        name: of the Site.
        modality: DICOM code.
        task: name of the task.
        classes: its answers.
        ignore: labels that are left out on purpose.
        folder: where its files are.
        maximum_studies: 0 takes all.
    """

    name: str
    modality: str
    task: str
    classes: tuple[str, ...]
    ignore: tuple[str, ...]
    folder: Path
    maximum_studies: int = 0


def real_sites(image_folder: Path) -> tuple[DemoSite, ...]:
    """Returns the sites with images below ``image_folder``, in the order of arrival; see its ``README.md``."""
    return (
        DemoSite(
            "xray", "DX", "pneumonia", ("normal", "pneumonia"), (), image_folder / "cxr_kermany", STUDIES_PER_SITE
        ),
        DemoSite(
            "ct",
            "CT",
            "lung-cancer",
            ("normal", "malignant"),
            ("benign",),
            image_folder / "ct_lung_iqoth",
            STUDIES_PER_SITE,
        ),
        DemoSite(
            "mri",
            "MR",
            "brain-tumour",
            ("glioma", "meningioma", "pituitary"),
            ("notumor",),
            image_folder / "mri_brain_tumour",
            STUDIES_PER_SITE,
        ),
        DemoSite(
            "blood",
            "GM",
            "blood-cell",
            ("RBC", "WBC", "Platelets"),
            (),
            image_folder / "micro_bloodcell_bccd",
            STUDIES_PER_SITE,
        ),
    )


def have_images(sites: tuple[DemoSite, ...]) -> bool:
    """Returns whether every site's files are there."""
    return all((site.folder / "images.npz").is_file() for site in sites)


def phantom_sites(folder: Path, progress: Progress) -> tuple[DemoSite, ...]:
    """Writes phantoms of four modalities as DICOM files below ``folder`` and returns them as sites."""
    from anamnesis.snapshots.phantoms import KINDS, write_phantom_site

    sites = []
    for seed, kind in enumerate(KINDS):
        config = write_phantom_site(folder / kind, kind, PATIENTS_PER_SITE, seed)
        task = config.task
        sites.append(DemoSite(config.name, config.modalities[0], task.name, task.classes, (), folder / kind))
        progress(seed + 1, len(KINDS), "phantom sites written")
    return tuple(sites)
