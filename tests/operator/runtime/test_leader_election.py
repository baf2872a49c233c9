"""At most one replica leads, with any clocks and any outage of the API server; in the end a replica leads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.memory_api import MemoryApi
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from anamnesis.operator.runtime.leader_election import LeaderElection, LeadershipLostError
from anamnesis.operator.runtime.options import LeaseTimes

TIMES = LeaseTimes(duration=15, deadline=10, retry=2)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def now_or_never(seconds: float) -> bool:
    """Returns that the caller must stop waiting."""
    return True


class Replica:
    """One process with its own clocks."""

    def __init__(self, name: str, environment: "ReplicaEnvironment", skew: float) -> None:
        self.api = MemoryApi(environment.documents)
        self.election = LeaderElection(
            self.api,
            namespace="wards",
            name="operator",
            identity=name,
            lease_times=TIMES,
            metrics_address=f"10.0.0.1:{name}",
            clock=lambda: NOON + timedelta(seconds=environment.elapsed + 100 * skew),
            monotonic=lambda: environment.elapsed + skew,
        )


class ReplicaEnvironment:
    """State that replicas share: the documents, and a time that passes at one rate for all."""

    def __init__(self) -> None:
        self.elapsed = 1000.0
        self.documents: dict[str, dict[str, Any]] = {}
        self.replicas = [Replica(name, self, skew) for name, skew in (("a", 0.0), ("b", -500.0), ("c", 7.0))]


class Elections(RuleBasedStateMachine):
    """Replicas that acquire the Lease, lose the API server and release the Lease, in any sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.environment = ReplicaEnvironment()

    @rule(index=st.integers(0, 2))
    def tries(self, index: int) -> None:
        self.environment.replicas[index].election.acquire(now_or_never)

    @rule(index=st.integers(0, 2), down=st.booleans())
    def is_cut_off(self, index: int, down: bool) -> None:
        self.environment.replicas[index].api.down = down

    @rule(index=st.integers(0, 2))
    def gives_back(self, index: int) -> None:
        self.environment.replicas[index].election.release_lease()

    @rule(seconds=st.sampled_from((1.0, 4.0, 9.9, 14.9, 15.1)))
    def time_passes(self, seconds: float) -> None:
        self.environment.elapsed += seconds

    @invariant()
    def at_most_one_leads(self) -> None:
        assert sum(replica.election.is_leading() for replica in self.environment.replicas) <= 1

    def teardown(self) -> None:
        election = self.environment.replicas[0].election
        self.environment.replicas[0].api.down = False
        self.environment.elapsed += TIMES.deadline
        election.acquire(now_or_never)
        self.environment.elapsed += TIMES.duration
        assert election.acquire(now_or_never)


TestElections = Elections.TestCase


def test_the_leader_renews_until_it_is_asked_to_stop() -> None:
    environment = ReplicaEnvironment()
    first, second, _ = (replica.election for replica in environment.replicas)
    assert first.acquire(now_or_never)

    def wait(seconds: float) -> bool:
        environment.elapsed += seconds
        assert not second.acquire(now_or_never)
        return environment.elapsed > 1100

    assert first.keep_renewing(wait)
    first.release_lease()
    assert not first.is_leading()
    assert second.acquire(now_or_never)
    lease = next(iter(environment.documents.values()))
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("b", 2)


def test_a_leader_that_cannot_renew_stops_before_another_replica_starts() -> None:
    environment = ReplicaEnvironment()
    first, second, _ = environment.replicas
    assert first.election.acquire(now_or_never)
    assert not second.election.acquire(now_or_never)
    first.election.ensure_leader()
    first.api.down = True

    def wait(seconds: float) -> bool:
        environment.elapsed += seconds
        return False

    assert not first.election.keep_renewing(wait)
    assert environment.elapsed <= 1000 + TIMES.deadline + TIMES.retry
    with pytest.raises(LeadershipLostError, match="a does not hold the Lease operator"):
        first.election.ensure_leader()
    assert not second.election.acquire(now_or_never)
    environment.elapsed += TIMES.duration
    assert second.election.acquire(now_or_never)


def test_each_replica_knows_where_the_leader_has_its_metrics() -> None:
    first, second, _ = (replica.election for replica in ReplicaEnvironment().replicas)
    assert first.leader_address() == ""
    for leader, standby, address in ((first, second, "10.0.0.1:a"), (second, first, "10.0.0.1:b")):
        assert leader.acquire(now_or_never)
        assert not standby.acquire(now_or_never)
        assert standby.leader_address() == address
        leader.release_lease()
        leader.acquire(now_or_never)
        assert leader.leader_address() == "", "a Lease that nobody holds has no address"
        leader.release_lease()
