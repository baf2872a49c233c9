"""Identities: claim digests, and the names of updates, evaluations and operators."""

from datetime import UTC, datetime

from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.update import name_prefix
from anamnesis.operator.requests import configuration
from anamnesis.records import digest_hex, digest_json, encode


def configuration_digest(model: ContinualModel) -> str:
    """Returns the digest of the model's learning configuration."""
    return digest_json(encode(configuration(model.spec).identity))


def claim_digest(
    model: ContinualModel, *, site: str, source_fingerprint: str, base: str, counter: int, replaced_test_sets: int
) -> str:
    """Returns the digest of everything that distinguishes two updates.

    Two operators that share a registry compute the same digest, so only one of them runs the update.

    Args:
        model: which model, and how it learns.
        site: whose data.
        source_fingerprint: fingerprint of that data.
        base: digest of the champion; empty before the first.
        counter: of the request of a person, or 0.
        replaced_test_sets: how many test sets were replaced: a new set needs another update with the same data.
    """
    claim_fields = {
        "model": model.metadata.name,
        "site": site,
        "source": source_fingerprint,
        "base": base,
        "configuration": configuration_digest(model),
        "counter": counter,
        "minimum": model.spec.trigger.minimum_new_patients,
        "replaced_test_sets": replaced_test_sets,
        "minimum_patients": model.spec.change_plan.minimum_patients,
    }
    return digest_json(claim_fields)


def update_name(model: str, model_uid: str, claim: str) -> str:
    """Returns the name of the ModelUpdate with a claim.

    A model that was deleted and applied again has another uid: its updates and runs are not taken for those of the
    deleted model, which are ended.
    """
    return f"{name_prefix(model)}{digest_hex(digest_json([model_uid, claim]))[:10]}"


def evaluation_name(model: str, due_at: datetime) -> str:
    """Returns the name of the evaluation that is due at a time."""
    return f"{name_prefix(model)}evaluation-{due_at.astimezone(UTC):%Y%m%dt%H%M%Sz}"
