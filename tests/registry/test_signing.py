"""Signatures: what each key may sign, and what a person with the bucket's key cannot write."""

import base64
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import ValidationError

from anamnesis.operator.api.signing import PublicKeySpec
from anamnesis.records import (
    EntryKind,
    InputError,
    IntegrityError,
    Metric,
    PublicKey,
    RefusedError,
    SignerRole,
    canonical_json,
    encode,
)
from anamnesis.registry import Log, read_evaluations, write_evaluation
from anamnesis.registry.evaluations import evaluation_key
from anamnesis.registry.log_entries import entry_key
from anamnesis.registry.registry_store import RegistryStore
from anamnesis.registry.signature_verification import find_unverified_entries
from anamnesis.registry.signing import Signer, Signing, make_signer, new_private_key
from anamnesis.storage import Store

REGISTRY, OTHER_REGISTRY = "sha256:" + "a" * 64, "sha256:" + "b" * 64
OPERATOR, RUN, LOCAL, STRANGER = (
    make_signer(role, new_private_key())
    for role in (SignerRole.OPERATOR, SignerRole.RUN, SignerRole.LOCAL, SignerRole.OPERATOR)
)


def public_key(signer: Signer, name: str, **changes: object) -> PublicKey:
    return replace(PublicKey(name, signer.role, signer.public_key), **changes)  # type: ignore[arg-type]


KEYS = (public_key(OPERATOR, "cluster"), public_key(RUN, "runs"), public_key(LOCAL, "laptop"))


def opened(store: Store, signer: Signer | None, registry: str = REGISTRY) -> RegistryStore:
    return RegistryStore(store, Signing(registry, signer, KEYS))


@pytest.mark.parametrize(
    ("signer", "signs_entries", "signs_evaluations"),
    [(OPERATOR, True, False), (RUN, False, True), (LOCAL, True, True), (STRANGER, False, False), (None, False, False)],
)
def test_the_role_of_a_key_limits_what_it_signs(
    folder: Store, build, signer: Signer | None, signs_entries: bool, signs_evaluations: bool
) -> None:
    version = build.stored(folder)
    store = opened(folder, signer)
    actions = {
        "log": (signs_entries, lambda: Log(store).append(EntryKind.APPROVE, version, "dr", "ok")),
        "evaluations": (signs_evaluations, lambda: write_evaluation(store, build.evaluation(version, "0.9"))),
    }
    for prefix, (may_sign, act) in actions.items():
        if may_sign:
            assert store.signing.problem_of(act()) == ""
        else:
            with pytest.raises(RefusedError, match=r"not written: .*; use a private key whose public key"):
                act()
        objects = [info.key for info in folder.list() if f"{prefix}/" in info.key]
        assert bool(objects) is may_sign, objects


def test_a_forged_evaluation_is_never_read(folder: Store, build) -> None:
    version = build.stored(folder)
    honest = opened(folder, RUN)
    evaluation = write_evaluation(honest, build.evaluation(version, "0.61"))
    key, better = evaluation_key(evaluation), {"AUROC": Metric(Decimal("0.99"), 100)}
    forgeries = {
        "no signature": replace(evaluation, metrics=better, signature=None),
        "does not match its content": replace(evaluation, metrics=better),
        "is not listed": STRANGER.sign(replace(evaluation, metrics=better), REGISTRY),
        "does not match its content and this registry": RUN.sign(replace(evaluation, metrics=better), OTHER_REGISTRY),
        "may not sign it": OPERATOR.sign(replace(evaluation, metrics=better), REGISTRY),
    }
    for problem, forgery in forgeries.items():
        folder.put(key, canonical_json(encode(forgery)))
        with pytest.raises(IntegrityError, match=f"{key}: .*{problem}.*delete the object"):
            read_evaluations(honest, version)
        with pytest.raises(IntegrityError, match=problem):  # the run that comes second does not build on it
            write_evaluation(honest, build.evaluation(version, "0.61"))
    folder.put(key, canonical_json(encode(evaluation)))
    assert read_evaluations(honest, version) == (evaluation,)


def test_a_swapped_public_key_does_not_count(build) -> None:
    entry = OPERATOR.sign(build.entry(EntryKind.APPROVE, build.digest("a")), REGISTRY)
    swapped = (public_key(STRANGER, "cluster"), KEYS[1])
    assert Signing(REGISTRY, None, KEYS).problem_of(entry) == ""
    assert "is not listed" in Signing(REGISTRY, None, swapped).problem_of(entry)


@pytest.mark.parametrize("key", [bytes(32), bytes(31) + b"\x80", b"\x01" + bytes(31), b"\xec" + b"\xff" * 31])
def test_a_key_that_anybody_can_sign_for_is_refused(build, key: bytes) -> None:
    entry = LOCAL.sign(build.entry(EntryKind.APPROVE, build.digest("a")), REGISTRY)
    text = base64.b64encode(key).decode()
    with pytest.raises(InputError, match="anybody can sign for it"):
        Signing(REGISTRY, None, (PublicKey("weak", SignerRole.OPERATOR, text),)).problem_of(entry)
    with pytest.raises(ValidationError, match="anybody can sign for it"):
        PublicKeySpec.model_validate({"name": "weak", "role": "Operator", "key": text})


def test_an_old_key_signs_nothing_after_its_last_entry(build) -> None:
    signing = Signing(REGISTRY, None, (public_key(OPERATOR, "old", last_entry=3),))
    numbered = [OPERATOR.sign(build.entry(EntryKind.CLAIM, build.digest("a"), number=n), REGISTRY) for n in (3, 4)]
    assert [signing.problem_of(entry) for entry in numbered] == ["", "the key old was valid until log entry 3"]


def test_without_keys_records_are_unsigned(folder: Store, build) -> None:
    evaluation = write_evaluation(folder, build.evaluation(build.stored(folder), "0.9"))
    assert evaluation.signature is None
    assert Log(folder).append(EntryKind.APPROVE, evaluation.version, "dr", "ok").signature is None


def test_the_chain_covers_the_signature(folder: Store, build) -> None:
    store = opened(folder, OPERATOR)
    for _ in range(2):
        Log(store).append(EntryKind.APPROVE, build.digest("a"), "dr", "ok")
    first = Log(store).entries()[0]
    stripped = replace(first, signature=None)
    folder.put(entry_key(1), canonical_json({**encode(stripped), "digest": stripped.digest}))  # type: ignore[dict-item]
    with pytest.raises(IntegrityError, match="log entry 2 does not continue log entry 1"):
        Log(store).entries()


def test_no_message_and_no_text_shows_a_private_key() -> None:
    private_key = new_private_key()
    assert private_key not in repr(make_signer(SignerRole.RUN, private_key))
    with pytest.raises(InputError) as caught:
        make_signer(SignerRole.RUN, private_key[:-4])
    assert private_key[:8] not in str(caught.value)


def test_a_forged_author_hides_nothing_of_the_message(build) -> None:
    forged = replace(build.entry(EntryKind.APPROVE, "x" * 500), author="rossi\n" * 500)
    (unverified_entry,) = find_unverified_entries([forged], Signing(REGISTRY, None, KEYS))
    assert str(unverified_entry).endswith("): it has no signature")
    assert len(str(unverified_entry)) < 200
    assert "\n" not in str(unverified_entry)
