"""The four sites of the demonstration: real images when available, else phantoms."""

from dataclasses import dataclass
from pathlib import Path

from anamnesis.records import Progress

STUDIES_PER_SITE = 400
"""Maximum number of studies of each real site, over both splits."""
STUDIES_OF_CT = 600
"""Patients of the CT site have many slices: with 400 studies its test set has 8, and scores of fewer than 10 patients
are not shown."""
PATIENTS_PER_SITE = 150
"""Patients of each phantom site, two images each; with 40 per class every test set has all classes."""


@dataclass(frozen=True, slots=True)
class DemoSite:
    """The values of a Site resource.

    Attributes:
        name: name of the Site.
        modality: DICOM code.
        task: name of the task.
        classes: classes of the task.
        folder: folder with its files.
        ignore: labels that are excluded on purpose.
        maximum_studies: 0 means all.
    """

    name: str
    modality: str
    task: str
    classes: tuple[str, ...]
    folder: Path
    ignore: tuple[str, ...] = ()
    maximum_studies: int = 0


def real_sites(image_folder: Path) -> tuple[DemoSite, ...]:
    """Returns the sites with images below ``image_folder``, in the order of arrival; see its ``README.md``."""
    return (
        DemoSite(
            name="xray",
            modality="DX",
            task="pneumonia",
            classes=("normal", "pneumonia"),
            folder=image_folder / "cxr_kermany",
            maximum_studies=STUDIES_PER_SITE,
        ),
        DemoSite(
            name="ct",
            modality="CT",
            task="lung-cancer",
            classes=("normal", "malignant"),
            ignore=("benign",),
            folder=image_folder / "ct_lung_iqoth",
            maximum_studies=STUDIES_OF_CT,
        ),
        DemoSite(
            name="mri",
            modality="MR",
            task="brain-tumour",
            classes=("glioma", "meningioma", "pituitary"),
            ignore=("notumor",),
            folder=image_folder / "mri_brain_tumour",
            maximum_studies=STUDIES_PER_SITE,
        ),
        DemoSite(
            name="blood",
            modality="GM",
            task="blood-cell",
            classes=("RBC", "WBC", "Platelets"),
            folder=image_folder / "micro_bloodcell_bccd",
            maximum_studies=STUDIES_PER_SITE,
        ),
    )


def have_images(sites: tuple[DemoSite, ...]) -> bool:
    """Returns whether the files of every site exist."""
    return all((site.folder / "images.npz").is_file() for site in sites)


def phantom_sites(folder: Path, progress: Progress) -> tuple[DemoSite, ...]:
    """Writes phantoms of four modalities as DICOM files below ``folder`` and returns them as sites."""
    from anamnesis.snapshots.phantoms import KINDS, write_phantom_site

    sites = []
    for seed, kind in enumerate(KINDS):
        config = write_phantom_site(folder / kind, kind, PATIENTS_PER_SITE, seed)
        sites.append(
            DemoSite(
                name=config.name,
                modality=config.modalities[0],
                task=config.task.name,
                classes=config.task.classes,
                folder=folder / kind,
            )
        )
        progress(seed + 1, len(KINDS), "phantom sites written")
    return tuple(sites)
