"""Checks of the labels of a site: of the label table against the files, or of the container."""

from collections.abc import Sequence

from anamnesis.records import InputError, LabelOrigin, PatientOrigin, SiteConfig, TaskType
from anamnesis.snapshots.image_annotations import ImageAnnotation
from anamnesis.snapshots.label_tables import LabelTable


def check_label_table(config: SiteConfig, label_table: LabelTable, annotations: Sequence[ImageAnnotation]) -> None:
    """Refuses a table that lists none of the images, has no label, or has no patients although the site needs them.

    Args:
        config: settings of the site.
        label_table: the table.
        annotations: annotation of each image of the source.

    Raises:
        InputError: the message names the column, never the content of a cell.
    """
    if annotations and not any(annotation.is_listed for annotation in annotations):
        raise InputError(
            f"site {config.name!r}: labels.manifest lists none of the {len(annotations)} images of the source; write "
            "the path of each file below the source into the column 'file', with the suffix of the file"
        )
    if config.task.type is TaskType.CLASSIFICATION and not any(row.label for row in label_table.rows.values()):
        raise InputError(
            f"site {config.name!r}: labels.manifest: each cell of the column 'label' is empty; write the labels"
        )
    missing_count = sum(lacks_patient(config, annotation) for annotation in annotations)
    if missing_count and not label_table.has_patients:
        raise InputError(
            f"site {config.name!r}: labels.manifest has no column 'patient', and {missing_count} of "
            f"{len(annotations)} images have no patient in their file; add the column, or set labels.patients: Files "
            "if each file is a patient"
        )


def check_container_labels(config: SiteConfig, annotations: Sequence[ImageAnnotation]) -> None:
    """Refuses a classification without any label in folders and NPZ files.

    Raises:
        InputError: the message says where labels are expected.
    """
    if config.task.type is not TaskType.CLASSIFICATION or not annotations:
        return
    if all(annotation.label is None for annotation in annotations):
        raise InputError(
            f"site {config.name!r}: labels.from is Container, but none of the {len(annotations)} images has a label; "
            "put the images into folders with the names of the classes, or set labels.from: Manifest"
        )


def lacks_patient(config: SiteConfig, annotation: ImageAnnotation) -> bool:
    """Returns whether an image has a target, but nothing says whose image it is.

    An image without a label is pending, and its patient may arrive with the label.
    """
    if annotation.patient or annotation.is_withdrawn or config.labels.origin is LabelOrigin.CONTAINER:
        return False
    if config.labels.patients is PatientOrigin.FILES:
        return False
    if config.task.type is TaskType.CLASSIFICATION:
        return annotation.label is not None
    if config.task.type is TaskType.PROGNOSIS:
        return annotation.event is not None and annotation.days is not None
    return True
