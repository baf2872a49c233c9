"""The condition UnverifiedPromotion."""

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.annotations import CHECKED_LOG_ENTRY
from anamnesis.operator.api.conditions import Condition, make_condition
from anamnesis.operator.controllers.continualmodel.state import ModelState


def unverified_promotion_condition(state: ModelState) -> Condition:
    """Returns whether the log has an entry that no key of the spec signed, or that no UpdateApproval stands behind."""
    verification, metadata = state.registry.verification, state.model.resource.metadata
    if not verification.is_signed:
        return make_condition(
            condition_types.UNVERIFIED_PROMOTION,
            None,
            reasons.RECORDS_UNSIGNED,
            "the records of the registry are unsigned, so anybody who can write to it can write approvals and scores; "
            "to sign them, set spec.registry.signing of a new registry",
        )
    if not verification.unverified_entries:
        return make_condition(
            condition_types.UNVERIFIED_PROMOTION,
            False,
            reasons.ENTRIES_VERIFIED,
            "every entry of the registry's log is signed, and every decision of a person has its UpdateApproval",
        )
    head = state.registry.entries[-1]
    further_count = len(verification.unverified_entries) - 1
    further = f", and {further_count} more" if further_count else ""
    return make_condition(
        condition_types.UNVERIFIED_PROMOTION,
        True,
        reasons.ENTRY_UNVERIFIED,
        f"{verification.unverified_entries[0]}{further}. No update starts. Find out "
        "who can write to the registry. If the champion is not the version that you approved, roll back: anamnesis "
        "rollback -n NAMESPACE MODEL VERSION --reason TEXT. Then accept the log up to its present end: kubectl -n "
        f"{metadata.namespace} annotate --overwrite continualmodel {metadata.name} "
        f"{CHECKED_LOG_ENTRY}={head.number}:{head.digest}",
    )
