"""How the pods of runs look where a model does not say: what the operator's installation sets for all models."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.backend import KubeflowBackendSpec, PodSettings
from anamnesis.operator.api.string_types import Name, SecretKeyName
from anamnesis.operator.api.validation_messages import describe_errors
from anamnesis.records import InputError


class TrustedAuthorities(ApiModel):
    """Certificates of authorities that the pods trust, PEM, in place of the public ones."""

    secret: Name
    """Name of the Secret, in the namespace of the pods."""
    key: SecretKeyName = "ca.crt"
    """The key in it."""


class PodDefaults(PodSettings):
    """What counts for every model that does not say otherwise, and what a model cannot say."""

    environment: Mapping[str, str] = {}
    """Variables of every step, for example ``HTTPS_PROXY``."""
    trust: TrustedAuthorities | None = None
    """Authorities of private servers."""

    def override_with(self, model_settings: KubeflowBackendSpec) -> "PodDefaults":
        """Returns these, with what a model's own ``spec.backend.kubeflow`` says over them, field by field."""
        override_values = {name: getattr(model_settings, name) for name in PodSettings.model_fields}
        return self.model_copy(
            update={name: value for name, value in override_values.items() if value not in (None, ())}
        )


def load_pod_defaults(path: Path) -> PodDefaults:
    """Reads them from a YAML file, in which fields are named as in ``spec.backend.kubeflow``.

    Raises:
        InputError: there is no such file, or a field in it is not right.
    """
    try:
        return PodDefaults.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {line}" for line in describe_errors(error, PodDefaults))) from None
