"""Options of the operator's process."""

from dataclasses import dataclass, field

LEASE_NAME = "anamnesis-operator"
"""Name of the Lease that the leader holds, unless the installation gives it another."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Times in seconds; each is smaller than the one before, so that a leader stops before another starts.

    Attributes:
        duration: after this time, another replica may take a Lease that did not change.
        deadline: after this time, a leader that could not renew the Lease stops.
        retry: time between two tries to take or renew the Lease.
    """

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """Options of the process; times in seconds.

    Attributes:
        identity: unique name of this process; no other process ever has it.
        lease_namespace: namespace of the Lease.
        lease_name: name of the Lease.
        address: IP address at which other replicas reach this process; empty where they cannot.
        namespaces: namespaces to watch; none for all.
        port: port of health, and of the metrics of this process.
        leader_metrics_port: port at which this process answers with the leader's metrics, whether it leads or not;
            none where it does not.
        worker_count: number of keys that are reconciled at once.
        lease_times: times of the leader election.
        resync_interval: time between two rounds in which all resources are reconciled, without any event.
        watch_check_interval: time between two comparisons of the watches with the API server.
        watch_silence_limit: after this time, a silent watch makes ``/healthz`` fail.
        work_timeout: after this time, work on one key makes ``/healthz`` fail.
        grace_period: time for running work to end when the process is asked to stop.
        request_timeout: timeout of one request to the API server.
        pods_namespace: namespace whose pods show why runs wait or fail; empty: the operator reads no pods.
    """

    identity: str
    lease_namespace: str
    lease_name: str = LEASE_NAME
    address: str = ""
    namespaces: tuple[str, ...] = ()
    port: int = 8080
    leader_metrics_port: int | None = None
    worker_count: int = 4
    lease_times: LeaseTimes = field(default_factory=LeaseTimes)
    resync_interval: float = 600.0
    watch_check_interval: float = 30.0
    watch_silence_limit: float = 180.0
    work_timeout: float = 600.0
    grace_period: float = 30.0
    request_timeout: float = 10.0
    pods_namespace: str = ""
