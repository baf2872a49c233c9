"""The environment variables that the Secret of a source sets. Pure functions."""

from collections.abc import Iterable, Mapping

from anamnesis.records import InputError
from anamnesis.storage.environment_variables import clean_value

_VARIABLE_BY_KEY = {"username": "DICOM_USERNAME", "password": "DICOM_PASSWORD", "token": "DICOM_TOKEN"}
DICOM_VARIABLES = frozenset(_VARIABLE_BY_KEY.values())

AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_DICOM_KEYS = (("token",), ("username", "password"))
REQUIRED_SECRET_KEYS = {"S3": (AWS_KEYS,), "DICOMweb": _DICOM_KEYS, "Orthanc": _DICOM_KEYS}
"""Type of a source -> the sets of keys of which its Secret needs one."""


class SecretMissingError(InputError):
    """A Secret with credentials is missing, or the operator may not read it."""


def source_variables(secret_keys: Iterable[str]) -> dict[str, str]:
    """Returns key -> environment variable for the keys of a source's Secret.

    ``username``, ``password`` and ``token`` become ``DICOM_USERNAME``, ``DICOM_PASSWORD`` and ``DICOM_TOKEN``; keys in
    capitals, like ``AWS_ACCESS_KEY_ID``, stay; other keys are ignored.
    """
    variables = {key: _VARIABLE_BY_KEY.get(key, key) for key in secret_keys}
    return {key: name for key, name in variables.items() if name.isidentifier() and name.isupper()}


def source_environment(secret: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment that a source's Secret sets.

    Raises:
        InputError: a value has a byte that cannot be sent; the message has its name alone.
    """
    return {name: clean_value(name, secret[key]) for key, name in source_variables(secret).items()}
