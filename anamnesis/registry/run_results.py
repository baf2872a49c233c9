"""What runs found, as the operator reads it: outcomes of updates by claim, and scheduled evaluations by name."""

from anamnesis.records import IntegrityError, Monitoring, Outcome, hex_of
from anamnesis.storage.documents import load, write_once
from anamnesis.storage.store import MissingError, Store, check_key

OUTCOMES, MONITORING = "outcomes/", "monitoring/"


def write_outcome(store: Store, outcome: Outcome) -> Outcome:
    """Writes what a run found; returns what counts: this, or what another attempt wrote first."""
    return write_once(store, _outcome_key(outcome.occasion.claim), outcome)


def read_outcome(store: Store, claim: str) -> Outcome | None:
    """Returns what was found under a claim, or none.

    Raises:
        IntegrityError: it was changed or lies in another's place.
    """
    key = _outcome_key(claim)
    try:
        return _outcome(store, key)
    except MissingError:
        return None


def list_outcomes(store: Store) -> tuple[Outcome, ...]:
    """Returns all outcomes, sorted by claim.

    Raises:
        IntegrityError: one was changed or lies in another's place.
    """
    return tuple(_outcome(store, info.key) for info in store.list(OUTCOMES))


def write_monitoring(store: Store, found: Monitoring) -> Monitoring:
    """Writes what a scheduled evaluation found; returns what counts: this, or what another attempt wrote first."""
    return write_once(store, _monitoring_key(found.name), found)


def read_monitoring(store: Store, name: str) -> Monitoring | None:
    """Returns what the scheduled evaluation of that name found, or none.

    Raises:
        IntegrityError: it was changed or lies in another's place.
    """
    key = _monitoring_key(name)
    try:
        found = load(Monitoring, store.get(key), key)
    except MissingError:
        return None
    if found.name != name:
        raise IntegrityError(f"{key}: is that of {found.name!r}; its bytes were changed")
    return found


def _outcome(store: Store, key: str) -> Outcome:
    outcome = load(Outcome, store.get(key), key)
    if key != _outcome_key(outcome.occasion.claim):
        raise IntegrityError(f"{key}: is that of the claim {outcome.occasion.claim}; its bytes were changed")
    return outcome


def _outcome_key(claim: str) -> str:
    return f"{OUTCOMES}{hex_of(claim)}.json"


def _monitoring_key(name: str) -> str:
    return check_key(f"{MONITORING}{name}.json")
