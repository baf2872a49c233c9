"""The types of tasks."""

from enum import StrEnum


class TaskType(StrEnum):
    """The types of tasks."""

    CLASSIFICATION = "Classification"
    SEGMENTATION = "Segmentation"
    PROGNOSIS = "Prognosis"
    PRETRAINING = "Pretraining"
