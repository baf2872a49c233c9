"""Hospitals whose records are signed."""

import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path

from anamnesis.records import SignerRole
from anamnesis.registry.signing import Signer, make_signer, new_private_key
from fakes.hospital import SPACE, FakeHospital, HospitalNetwork

OPERATOR, OTHER_OPERATOR, STRANGER = (make_signer(SignerRole.OPERATOR, new_private_key()) for _ in range(3))
RUN = make_signer(SignerRole.RUN, new_private_key())
RUN_KEY_SECRET = "chest-run-key"


def private_key(signer: Signer) -> str:
    """The private key, as a Secret has it."""
    return base64.b64encode(signer.seed).decode()


def key_file(signer: Signer) -> Path:
    """A file with a private key."""
    with tempfile.NamedTemporaryFile("w", suffix=".key", delete=False) as file:
        file.write(private_key(signer))
    return Path(file.name)


def signing_spec(*signers: Signer, shared: bool = False) -> dict[str, object]:
    """The part of a model's spec that lists these keys."""
    keys = [{"name": f"key-{n}", "role": s.role.value, "key": s.public_key} for n, s in enumerate(signers)]
    signing = {"publicKeys": keys, "runKeySecret": {"name": RUN_KEY_SECRET}}
    return {"registry": {"url": "s3://models/chest", "shared": shared, "signing": signing}}


def make_hospital(
    network: HospitalNetwork, spec: Mapping[str, object], signing_key: Path | None = None
) -> FakeHospital:
    """A hospital with the Secret of its runs; the test puts the same key into ``ANAMNESIS_RUN_KEY``."""
    hospital = FakeHospital(network, spec, signing_key=signing_key)
    hospital.cluster.secrets[SPACE, RUN_KEY_SECRET] = {"key": private_key(RUN)}
    return hospital
