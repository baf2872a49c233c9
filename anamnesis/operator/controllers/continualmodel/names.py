"""What tells one update from another, and what updates and evaluations are called."""

from datetime import UTC, datetime

from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.requests import configuration
from anamnesis.records import digest_hex, digest_json, encode


def configuration_digest(model: ContinualModel) -> str:
    """Returns the digest of how the model learns."""
    return digest_json(encode(configuration(model.spec)))


def claim_digest(model: ContinualModel, site: str, source_fingerprint: str, base: str, counter: int) -> str:
    """Returns the digest of everything that tells two updates apart.

    Two operators that share a registry come to the same digest, so only one of them does the work.

    Args:
        model: which model, and how it learns.
        site: whose data.
        source_fingerprint: fingerprint of that data.
        base: digest of the champion; empty before the first.
        counter: of the person who asked, or 0.
    """
    claim_fields = {
        "model": model.metadata.name,
        "site": site,
        "source": source_fingerprint,
        "base": base,
        "configuration": configuration_digest(model),
        "counter": counter,
        "minimum": model.spec.trigger.minimum_new_patients,
    }
    return digest_json(claim_fields)


def name_prefix(model: str) -> str:
    """Returns what the names of a model's updates, evaluations and all of their runs begin with."""
    return f"{model[:40]}-"


def update_name(model: str, claim: str) -> str:
    """Returns the name of the ModelUpdate that stands for a claim."""
    return f"{name_prefix(model)}{digest_hex(claim)[:10]}"


def evaluation_name(model: str, due_at: datetime) -> str:
    """Returns the name of the evaluation that is due at a time."""
    return f"{name_prefix(model)}evaluation-{due_at.astimezone(UTC):%Y%m%dt%H%M%Sz}"


def operator_identity(model: ContinualModel) -> str:
    """Returns who claims, in the registry's log: the same for every replica and restart of this operator."""
    return f"anamnesis-operator/{model.metadata.uid}"


def approval_marker(uid: str) -> str:
    """Returns what a log entry's reason ends with, when it records the UpdateApproval with this uid."""
    return f"[UpdateApproval {uid}]"
