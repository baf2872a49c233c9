"""How the controller's process runs."""

from dataclasses import dataclass, field

LEASE = "anamnesis-operator"
"""Name of the Lease that the leader holds."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds; each smaller than the one before, so that a leader stops before another starts.

    Attributes:
        duration: after which others may take a Lease that they saw unchanged.
        deadline: after which a leader that could not renew stops.
        retry: between tries.
    """

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """How the process runs; times in seconds.

    Attributes:
        identity: of this process; no other ever bears it.
        lease_namespace: where the Lease lies.
        namespaces: that are watched; none for all.
        port: of health and metrics.
        workers: keys that are brought in order at once.
        lease: how long what of the election lasts.
        resync: between two rounds over everything, whatever was heard.
        check: between two comparisons of the watches with the API server.
        silence: after which a silent watch makes ``/healthz`` fail.
        patience: for work on one key, after which ``/healthz`` fails.
        grace: for work that runs, when the process is asked to end.
        timeout: for one request to the API server.
    """

    identity: str
    lease_namespace: str
    namespaces: tuple[str, ...] = ()
    port: int = 8080
    workers: int = 4
    lease: LeaseTimes = field(default_factory=LeaseTimes)
    resync: float = 600.0
    check: float = 30.0
    silence: float = 180.0
    patience: float = 600.0
    grace: float = 30.0
    timeout: float = 10.0
