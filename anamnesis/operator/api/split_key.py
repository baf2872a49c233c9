"""The place of a split key: a file, an environment variable, or a Secret."""

from typing import Literal

from anamnesis.operator.api.api_model import ApiModel, TypedUnion
from anamnesis.operator.api.string_types import EnvironmentName, Name, SecretKeyName, Text


class FileKey(ApiModel):
    """A file with the key. It is created on first use."""

    path: Text
    """Path of the file. Keep the file: with another key, patients of test sets would be trained on."""


class EnvironmentKey(ApiModel):
    """An environment variable with the key."""

    name: EnvironmentName
    """Name of the variable."""


class SecretKey(ApiModel):
    """A Secret with the key.

    On a laptop an environment variable replaces it: ``ANAMNESIS_SPLIT_KEY``, or ``ANAMNESIS_SPLIT_KEY_<SITE>`` for the
    key of a Site.
    """

    name: Name
    """Name of the Secret."""
    key: SecretKeyName = "key"
    """Key of the Secret's data."""


class SplitKeySpec(TypedUnion):
    """The place of a split key: the secret that sends patients to the training or the test split."""

    type: Literal["File", "Environment", "Secret"]
    """Which of the other fields is set."""
    file: FileKey | None = None
    environment: EnvironmentKey | None = None
    secret: SecretKey | None = None
