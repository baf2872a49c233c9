"""Defaults of the pods of runs, which the operator's installation sets for all models."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.backend import KubeflowBackendSpec
from anamnesis.operator.api.pod_settings import PodSettings
from anamnesis.operator.api.string_types import Name, SecretKeyName
from anamnesis.operator.api.validation_messages import describe_errors
from anamnesis.operator.backends.merged_resources import merge_resources
from anamnesis.records import InputError


class TrustedAuthorities(ApiModel):
    """Certificate authorities that the pods trust instead of the public ones, PEM."""

    secret: Name
    """Name of a Secret in the namespace of the pods."""
    key: SecretKeyName = "ca.crt"
    """Key of the Secret's data."""


class PodDefaults(PodSettings):
    """Settings for every model that does not override them, and settings that a model cannot have."""

    environment: Mapping[str, str] = {}
    """Environment variables of every step, for example ``HTTPS_PROXY``."""
    trust: TrustedAuthorities | None = None
    """Certificate authorities of private servers."""

    def override_with(self, model_settings: KubeflowBackendSpec) -> "PodDefaults":
        """Returns these settings, overridden by the fields that ``spec.backend.kubeflow`` of a model sets.

        A list of the model replaces the installation's; only resources are merged, each amount on its own.
        """
        fields = PodSettings.model_fields.keys() - {"resources"}
        override_values = {name: getattr(model_settings, name) for name in fields}
        changes = {name: value for name, value in override_values.items() if value not in (None, ())}
        return self.model_copy(
            update=changes | {"resources": merge_resources(self.resources, model_settings.resources)}
        )


def load_pod_defaults(path: Path) -> PodDefaults:
    """Reads the defaults from a YAML file with the field names of ``spec.backend.kubeflow``.

    Raises:
        InputError: the file is unreadable, or one of its fields is invalid.
    """
    try:
        return PodDefaults.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: the file of --pod-defaults is unreadable: "
            f"{error.strerror if isinstance(error, OSError) else error}"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: invalid YAML; correct the file of --pod-defaults: {error}") from None
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {line}" for line in describe_errors(error, PodDefaults))) from None
