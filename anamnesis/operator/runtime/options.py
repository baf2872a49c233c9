"""How the controller's process runs."""

from dataclasses import dataclass, field

LEASE_NAME = "anamnesis-operator"
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
class OperatorOptions:
    """How the process runs; times in seconds.

    Attributes:
        identity: of this process; no other ever bears it.
        lease_namespace: where the Lease lies.
        namespaces: that are watched; none for all.
        port: of health and metrics.
        worker_count: keys that are brought in order at once.
        lease_times: how long what of the election lasts.
        resync_interval: between two rounds over everything, whatever was heard.
        watch_check_interval: between two comparisons of the watches with the API server.
        watch_silence_limit: after which a silent watch makes ``/healthz`` fail.
        work_timeout: for work on one key, after which ``/healthz`` fails.
        grace_period: for work that runs, when the process is asked to end.
        request_timeout: for one request to the API server.
    """

    identity: str
    lease_namespace: str
    namespaces: tuple[str, ...] = ()
    port: int = 8080
    worker_count: int = 4
    lease_times: LeaseTimes = field(default_factory=LeaseTimes)
    resync_interval: float = 600.0
    watch_check_interval: float = 30.0
    watch_silence_limit: float = 180.0
    work_timeout: float = 600.0
    grace_period: float = 30.0
    request_timeout: float = 10.0
