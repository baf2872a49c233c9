"""The keys that sign the records of a registry."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from anamnesis.operator.api.api_model import ApiModel, SecretReference
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import PUBLIC_KEY_PATTERN, Name
from anamnesis.operator.api.value_types import UniqueNames
from anamnesis.records import InputError
from anamnesis.records.signature import decode_public_key

PublicKeyText = Annotated[str, StringConstraints(pattern=PUBLIC_KEY_PATTERN, max_length=44)]


_RUN_KEY_MESSAGE = "lastEntry limits log entries, which a key of the role Run does not sign; remove lastEntry"
_SAME_KEY_MESSAGE = "two entries have the same key, which has one role; remove one, or make another pair"


class PublicKeySpec(ApiModel):
    """A public key whose signatures count."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(("self.role != 'Run' || !has(self.lastEntry)", _RUN_KEY_MESSAGE))
    )
    name: Name
    """Name of the key for people, for example the cluster or the machine that has the private key."""
    role: Literal["Operator", "Run", "Local"]
    """Operator signs log entries; Run signs the evaluations and results of runs; Local signs both on one machine."""
    key: PublicKeyText
    """Ed25519 public key in base64, as anamnesis key signing prints it."""
    last_entry: Annotated[int, Field(ge=0, le=2**53, strict=True)] | None = None
    """Number of the last log entry that the key may have signed. If omitted, the key is in use."""

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: str) -> str:
        try:
            decode_public_key(key)
        except InputError as error:
            raise ValueError(str(error)) from None
        return key

    @model_validator(mode="after")
    def _check_last_entry(self) -> Self:
        if self.role == "Run" and self.last_entry is not None:
            raise ValueError(_RUN_KEY_MESSAGE)
        return self


class SigningSpec(ApiModel):
    """The keys that sign log entries, evaluations and results. Keep old keys: records that they signed stay valid."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.publicKeys.all(item, self.publicKeys.exists_one(other, other.key == item.key))", _SAME_KEY_MESSAGE)
        )
    )
    public_keys: Annotated[tuple[PublicKeySpec, ...], Field(min_length=1, max_length=32), UniqueNames]
    """Public keys whose signatures count."""
    run_key_secret: SecretReference | None = None
    """Secret whose data has the private key of runs under key. A back end needs it; commands on a laptop do not."""

    @model_validator(mode="after")
    def _check_different_keys(self) -> Self:
        if len({public_key.key for public_key in self.public_keys}) < len(self.public_keys):
            raise ValueError(_SAME_KEY_MESSAGE)
        return self
