"""Environment and volumes of the pods of runs: from Secrets, ConfigMaps and claims of their namespace."""

import re
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel, TypedUnion
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import AbsolutePath, EnvironmentName, Name, SecretKeyName

_RESERVED_NAMES = "^(AWS|ANAMNESIS|DICOM|KFP)_"
_RESERVED_NAME_MESSAGE = (
    "names that start with AWS_, ANAMNESIS_, DICOM_ or KFP_ are set by the operator and by Kubeflow; choose another "
    "name, or put the key into the credentialsSecret of the registry or of the Site"
)
_RESERVED_PATHS = (
    "^/+(([.]local|[.]cache|[.]config|dev|etc/anamnesis|gcs|kfp-launcher|minio|proc|s3|sys|var/run)(/.*)?)?$"
)
_RESERVED_PATH_MESSAGE = (
    "the path is used by the system, by Kubeflow or by the operator; choose another one, like /data"
)
_RESERVED_SOURCES = ("kfp-launcher", "shared-memory")
_RESERVED_SOURCE_MESSAGE = (
    "volumes named kfp-launcher and shared-memory exist in every pod; rename the claim, Secret or ConfigMap"
)
_SOURCE_MESSAGE = "a volume has one source; set one of claimName, secretName and configMapName"


class KeyReference(ApiModel):
    """A key of a Secret or ConfigMap in the namespace of the pipelines."""

    name: Name
    """Name of the Secret or ConfigMap."""
    key: SecretKeyName
    """Key of its data."""


class EnvironmentVariable(TypedUnion):
    """An environment variable of every step."""

    name: Annotated[
        EnvironmentName,
        Field(json_schema_extra=cel_rules((f"!self.matches('{_RESERVED_NAMES}')", _RESERVED_NAME_MESSAGE))),
    ]
    """Name of the variable. Names that start with AWS_, ANAMNESIS_, DICOM_ or KFP_ are refused."""
    type: Literal["Secret", "ConfigMap"]
    """Which of the other fields is set."""
    secret: KeyReference | None = None
    config_map: KeyReference | None = None

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if re.match(_RESERVED_NAMES, self.name):
            raise ValueError(_RESERVED_NAME_MESSAGE)
        return self


class VolumeMount(ApiModel):
    """A claim, or a Secret or ConfigMap as files, in the namespace of the pipelines, mounted in every step."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            (
                "[has(self.claimName), has(self.secretName), has(self.configMapName)].filter(isSet, isSet).size() == 1",
                _SOURCE_MESSAGE,
            ),
            (
                "!([self.?claimName.orValue(''), self.?secretName.orValue(''), self.?configMapName.orValue('')]"
                f".exists(name, name in {list(_RESERVED_SOURCES)}))",
                _RESERVED_SOURCE_MESSAGE,
            ),
        )
    )

    claim_name: Name | None = None
    """Name of a PersistentVolumeClaim."""
    secret_name: Name | None = None
    """Name of a Secret; each key is a file."""
    config_map_name: Name | None = None
    """Name of a ConfigMap; each key is a file."""
    path: Annotated[
        AbsolutePath,
        Field(json_schema_extra=cel_rules((f"!self.matches('{_RESERVED_PATHS}')", _RESERVED_PATH_MESSAGE))),
    ]
    """Path at which it is mounted, for example /data."""

    @property
    def source_kind(self) -> str:
        """Kind of the source, as Kubernetes names it."""
        return "PersistentVolumeClaim" if self.claim_name else "Secret" if self.secret_name else "ConfigMap"

    @property
    def source_name(self) -> str:
        """Name of the claim, Secret or ConfigMap; Kubeflow gives the volume of the pod this name."""
        return self.claim_name or self.secret_name or self.config_map_name or ""

    @model_validator(mode="after")
    def _check_source_and_path(self) -> Self:
        if sum(bool(name) for name in (self.claim_name, self.secret_name, self.config_map_name)) != 1:
            raise ValueError(_SOURCE_MESSAGE)
        if self.source_name in _RESERVED_SOURCES:
            raise ValueError(_RESERVED_SOURCE_MESSAGE)
        if re.match(_RESERVED_PATHS, self.path):
            raise ValueError(_RESERVED_PATH_MESSAGE)
        return self
