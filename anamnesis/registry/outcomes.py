"""What runs found, as the operator reads it: outcomes of updates by claim, and scheduled evaluations by name."""

from anamnesis.records import Monitoring, Outcome, hex_of
from anamnesis.registry.documents import load, write_once
from anamnesis.registry.store import MissingError, Store, check_key

OUTCOMES, MONITORING = "outcomes/", "monitoring/"


def write_outcome(store: Store, outcome: Outcome) -> Outcome:
    """Writes what a run found; returns what counts: this, or what another attempt wrote first."""
    return write_once(store, f"{OUTCOMES}{hex_of(outcome.occasion.claim)}.json", outcome)


def read_outcome(store: Store, claim: str) -> Outcome | None:
    """Returns what was found under a claim, or none."""
    key = f"{OUTCOMES}{hex_of(claim)}.json"
    try:
        return load(Outcome, store.get(key), key)
    except MissingError:
        return None


def list_outcomes(store: Store) -> tuple[Outcome, ...]:
    """Returns all outcomes, sorted by claim."""
    return tuple(load(Outcome, store.get(info.key), info.key) for info in store.list(OUTCOMES))


def write_monitoring(store: Store, found: Monitoring) -> Monitoring:
    """Writes what a scheduled evaluation found; returns what counts: this, or what another attempt wrote first."""
    return write_once(store, _monitoring_key(found.name), found)


def read_monitoring(store: Store, name: str) -> Monitoring | None:
    """Returns what the scheduled evaluation of that name found, or none."""
    key = _monitoring_key(name)
    try:
        return load(Monitoring, store.get(key), key)
    except MissingError:
        return None


def _monitoring_key(name: str) -> str:
    return check_key(f"{MONITORING}{name}.json")
