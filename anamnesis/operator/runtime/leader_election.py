"""One replica leads: it holds a Lease and renews it; others take it once they have seen it unchanged for too long.

Clocks of different machines are never compared: what counts is how long ago, by our own clock, we saw the Lease change.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any

from anamnesis.operator.runtime.cluster import LeadershipLostError
from anamnesis.operator.runtime.kubernetes_api import Api, Json
from anamnesis.operator.runtime.options import LeaseTimes
from anamnesis.records import AnamnesisError, ConflictError
from anamnesis.records.timestamps import Clock

logger = logging.getLogger(__name__)


class Election:
    """Takes, keeps and gives back one Lease. Not for several threads, but for ``leading`` and ``require``.

    Args:
        api: the API server; its timeout should be well below the deadline.
        namespace: of the Lease.
        name: of the Lease.
        identity: of this process; no other may ever bear it.
        times: how long what lasts.
        clock: the time, UTC, for people who read the Lease.
        monotonic: seconds, never going back.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        times: LeaseTimes,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._identity, self._times, self._clock, self._monotonic = api, identity, times, clock, monotonic
        self._all = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path, self._name = f"{self._all}/{name}", name
        self._seen: tuple[Json, float] = ({}, 0.0)
        self._until = 0.0

    def leading(self) -> bool:
        """Whether this process may act now."""
        return self._monotonic() < self._until

    def require(self) -> None:
        """Does nothing while this process may act.

        Raises:
            LeadershipLostError: it may not.
        """
        if not self.leading():
            raise LeadershipLostError(
                f"{self._identity} does not hold the Lease {self._name} any more: nothing is done"
            )

    def acquire(self, wait: Callable[[float], bool]) -> bool:
        """Tries until this process leads; returns false where ``wait(seconds)`` said to stop."""
        while not self._try():
            if wait(self._times.retry):
                return False
        logger.info("%s leads", self._identity)
        return True

    def hold(self, wait: Callable[[float], bool]) -> bool:
        """Renews until ``wait(seconds)`` says to stop; returns false where leadership was lost before."""
        while not wait(self._times.retry):
            self._try()
            if not self.leading():
                logger.error("%s could not renew the Lease %s: it stops", self._identity, self._name)
                return False
        return self.leading()

    def release(self) -> None:
        """Gives the Lease back, so that another need not wait; it runs out by itself where that fails."""
        if not self.leading():
            return
        self._until = 0.0
        try:
            self._write(self._api.get(self._path), holder="", duration=1)
        except AnamnesisError as error:
            logger.warning("the Lease was not given back: %s", error)

    def _try(self) -> bool:
        start = self._monotonic()
        try:
            lease = self._api.get(self._path)
            if not self._free(lease, start):
                self._until = 0.0
            else:
                self._write(lease, self._identity, self._times.duration)
                self._until = start + self._times.deadline
        except ConflictError:
            logger.info("another replica was first")
        except AnamnesisError as error:
            logger.warning("the Lease was not renewed: %s", error)
        return self.leading()

    def _free(self, lease: Json | None, now: float) -> bool:
        """Whether nobody else holds it: there is none, it was given back, it is ours, or it ran out."""
        spec = (lease or {}).get("spec", {})
        if spec != self._seen[0]:
            self._seen = (spec, now)
        holder = spec.get("holderIdentity") or self._identity
        return holder == self._identity or now >= self._seen[1] + spec.get("leaseDurationSeconds", 0)

    def _write(self, lease: Json | None, holder: str, duration: float) -> None:
        before = (lease or {}).get("spec", {})
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = before.get("holderIdentity") == holder
        spec: dict[str, Any] = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(duration)),
            "acquireTime": before.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (bool(holder) and not same),
        }
        head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        if lease is not None:
            self._api.replace(self._path, {**head, "metadata": lease["metadata"], "spec": spec})
        elif self._api.create(self._all, {**head, "metadata": {"name": self._name}, "spec": spec}) is None:
            raise ConflictError(f"Lease {self._name}: another replica made it")
