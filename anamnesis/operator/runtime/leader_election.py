"""One replica leads: it holds a Lease and renews it. Another replica takes a Lease that has not changed for too long.

Clocks of different machines are never compared: each replica measures by its own clock how long the Lease is unchanged.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any

from anamnesis.operator.runtime.cluster import LeadershipLostError
from anamnesis.operator.runtime.kubernetes_api import JsonDocument, KubernetesApi
from anamnesis.operator.runtime.options import LeaseTimes
from anamnesis.records import AnamnesisError, ConflictError
from anamnesis.records.timestamps import Clock

ADDRESS_ANNOTATION = "anamnesis.dev/metrics-address"
"""Annotation of the Lease: address and port of the leader's metrics, where a standby gets them."""

logger = logging.getLogger(__name__)


class LeaderElection:
    """Acquires, renews and releases one Lease. Only ``is_leading`` and ``ensure_leader`` are safe from other threads.

    Args:
        api: the API server; its timeout should be well below the deadline.
        namespace: namespace of the Lease.
        name: name of the Lease.
        identity: unique name of this process; no other process may ever have it.
        lease_times: duration, deadline and retry interval.
        clock: returns the time, UTC, for people who read the Lease.
        metrics_address: address and port of this process's metrics, for the other replicas; empty where it has none.
        monotonic: returns seconds that never go back.
    """

    def __init__(
        self,
        api: KubernetesApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_times: LeaseTimes,
        clock: Clock,
        metrics_address: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._identity, self._lease_times, self._clock, self._monotonic = (
            api,
            identity,
            lease_times,
            clock,
            monotonic,
        )
        self._leases_path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._lease_path, self._lease_name = f"{self._leases_path}/{name}", name
        self._observed_spec: tuple[JsonDocument, float] = ({}, 0.0)
        self._leading_until, self._lease_uid = 0.0, ""
        self._metrics_address, self._leader_address = metrics_address, ""

    def lease_uid(self) -> str:
        """Returns the uid of the Lease; empty before this process acquired it."""
        return self._lease_uid

    def leader_address(self) -> str:
        """Returns address and port of the leader's metrics; empty where no leader wrote them to the Lease."""
        return self._leader_address

    def is_leading(self) -> bool:
        """Whether this process leads now."""
        return self._monotonic() < self._leading_until

    def ensure_leader(self) -> None:
        """Does nothing while this process leads.

        Raises:
            LeadershipLostError: this process does not lead.
        """
        if not self.is_leading():
            raise LeadershipLostError(
                f"{self._identity} does not hold the Lease {self._lease_name} any more, so this replica "
                "changes nothing and stops; another replica takes over"
            )

    def acquire(self, wait: Callable[[float], bool]) -> bool:
        """Tries until this process leads; returns false where ``wait(seconds)`` returned true: stop."""
        while not self._try_acquire_or_renew():
            if wait(self._lease_times.retry):
                return False
        logger.info("%s leads: it acquired the Lease %s", self._identity, self._lease_name)
        return True

    def keep_renewing(self, wait: Callable[[float], bool]) -> bool:
        """Renews until ``wait(seconds)`` returns true; returns false where leadership was lost before."""
        while not wait(self._lease_times.retry):
            self._try_acquire_or_renew()
            if not self.is_leading():
                logger.error(
                    "%s could not renew the Lease %s in time: it stops, and another replica takes over",
                    self._identity,
                    self._lease_name,
                )
                return False
        return self.is_leading()

    def release_lease(self) -> None:
        """Releases the Lease, so that another replica need not wait; where that fails, the Lease expires."""
        if not self.is_leading():
            return
        self._leading_until = 0.0
        try:
            self._write_lease(self._api.get(self._lease_path), holder="", duration=1)
        except AnamnesisError as error:
            logger.warning("cannot release the Lease %s; it expires by itself: %s", self._lease_name, error)

    def _try_acquire_or_renew(self) -> bool:
        start = self._monotonic()
        try:
            lease = self._api.get(self._lease_path)
            self._leader_address = _read_address(lease)
            if not self._is_available(lease, start):
                self._leading_until = 0.0
            else:
                self._write_lease(lease, self._identity, self._lease_times.duration)
                self._leading_until = start + self._lease_times.deadline
        except ConflictError:
            logger.info("another replica acquired the Lease %s first", self._lease_name)
        except AnamnesisError as error:
            logger.warning("cannot acquire or renew the Lease %s: %s", self._lease_name, error)
        return self.is_leading()

    def _is_available(self, lease: JsonDocument | None, monotonic_time: float) -> bool:
        """Whether no other replica holds the Lease: it does not exist, was released, is ours, or has expired."""
        spec = (lease or {}).get("spec", {})
        if spec != self._observed_spec[0]:
            self._observed_spec = (spec, monotonic_time)
        holder = spec.get("holderIdentity") or self._identity
        return holder == self._identity or monotonic_time >= self._observed_spec[1] + spec.get(
            "leaseDurationSeconds", 0
        )

    def _write_lease(self, lease: JsonDocument | None, holder: str, duration: float) -> None:
        previous_spec = (lease or {}).get("spec", {})
        timestamp = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_same_holder = previous_spec.get("holderIdentity") == holder
        spec: dict[str, Any] = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(duration)),
            "acquireTime": previous_spec.get("acquireTime", timestamp) if is_same_holder else timestamp,
            "renewTime": timestamp,
            "leaseTransitions": previous_spec.get("leaseTransitions", 0) + (bool(holder) and not is_same_holder),
        }
        metadata: dict[str, Any] = {"name": self._lease_name} if lease is None else lease["metadata"]
        annotations = {**metadata.get("annotations", {}), ADDRESS_ANNOTATION: self._metrics_address if holder else ""}
        type_meta = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        new_lease = {**type_meta, "metadata": {**metadata, "annotations": annotations}, "spec": spec}
        document = (
            self._api.create(self._leases_path, new_lease)
            if lease is None
            else self._api.replace(self._lease_path, new_lease)
        )
        self._lease_uid = (document or {}).get("metadata", {}).get("uid", "")
        if document is None:
            raise ConflictError(f"Lease {self._lease_name}: another replica created it first; this replica waits")


def _read_address(lease: JsonDocument | None) -> str:
    address: str = ((lease or {}).get("metadata", {}).get("annotations") or {}).get(ADDRESS_ANNOTATION, "")
    return address
