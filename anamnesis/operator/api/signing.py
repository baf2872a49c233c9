"""The keys that sign the records of a registry."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.api_model import ApiModel, SecretReference
from anamnesis.operator.api.string_types import PUBLIC_KEY_PATTERN, Name
from anamnesis.operator.api.value_types import UniqueNames

PublicKeyText = Annotated[str, StringConstraints(pattern=PUBLIC_KEY_PATTERN, max_length=44)]


class PublicKeySpec(ApiModel):
    """A public key whose signatures count."""

    name: Name
    """Name of the key for people, for example the cluster or the machine that has the private key."""
    role: Literal["Operator", "Run", "Local"]
    """Operator signs log entries; Run signs the evaluations and results of runs; Local signs both on one machine."""
    key: PublicKeyText
    """Ed25519 public key in base64, as anamnesis key signing prints it."""
    last_entry: Annotated[int, Field(ge=0, le=2**53, strict=True)] | None = None
    """Number of the last log entry that the key may have signed. If omitted, the key is in use."""


class SigningSpec(ApiModel):
    """The keys that sign log entries, evaluations and results. Keep old keys: records that they signed stay valid."""

    public_keys: Annotated[tuple[PublicKeySpec, ...], Field(min_length=1, max_length=32), UniqueNames]
    """Public keys whose signatures count."""
    run_key_secret: SecretReference | None = None
    """Secret whose data has the private key of runs under key. A back end needs it; commands on a laptop do not."""
