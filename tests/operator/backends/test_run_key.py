"""A run gets the key that signs its records, and no key whose signatures would not count."""

import base64

import pytest
from builders.resource_documents import model_spec

from anamnesis.operator.addresses import RUN_KEY_VARIABLE
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.credentials import collect_credentials
from anamnesis.records import InputError, SignerRole
from anamnesis.registry.signing import make_signer, new_private_key

RUN = make_signer(SignerRole.RUN, new_private_key())
PRIVATE_KEY = base64.b64encode(RUN.seed).decode()


def spec(role: str = "Run", secret: str | None = "run-key") -> ContinualModelSpec:
    signing = {"publicKeys": [{"name": "runs", "role": role, "key": RUN.public_key}]}
    signing |= {"runKeySecret": {"name": secret}} if secret else {}  # type: ignore[dict-item]
    registry = {"url": "s3://models/chest", "signing": signing}
    return ContinualModelSpec.model_validate(model_spec(("north",), {"registry": registry}))


def test_the_key_reaches_the_steps_as_a_variable() -> None:
    (credential,) = collect_credentials(spec(), (), {"run-key": {"key": f"{PRIVATE_KEY}\n"}}.get)
    assert (credential.secret, credential.variables) == ("run-key", {"key": RUN_KEY_VARIABLE})
    assert credential.values == {RUN_KEY_VARIABLE: PRIVATE_KEY}
    assert PRIVATE_KEY not in repr(credential)


@pytest.mark.parametrize(
    ("model", "secrets", "message"),
    [
        (spec(secret=None), {}, "runKeySecret: missing; name the Secret"),
        (spec(), {}, "the Secret 'run-key' does not exist"),
        (spec(), {"run-key": {"other": "x"}}, "has no key 'key'"),
        (spec(), {"run-key": {"key": "c2hvcnQ="}}, "the Secret 'run-key': signing key: expected 32 bytes"),
        (spec(role="Operator"), {"run-key": {"key": PRIVATE_KEY}}, "does not belong to a public key of the role Run"),
        (spec(), {"run-key": {"key": new_private_key()}}, "does not belong to a public key of the role Run"),
    ],
)
def test_a_key_that_would_not_count_is_refused_and_not_shown(
    model: ContinualModelSpec, secrets: dict[str, dict[str, str]], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        collect_credentials(model, (), secrets.get)
    assert not any(value in str(caught.value) for secret in secrets.values() for value in secret.values())
