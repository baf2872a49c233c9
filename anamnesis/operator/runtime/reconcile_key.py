"""What is reconciled, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, order=True)
class ReconcileKey:
    """One thing to bring in order.

    Attributes:
        kind: ``ContinualModel`` (with its updates and approvals) or ``Site``.
        namespace: where it is.
        name: its name.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


Reconcile = Callable[[ReconcileKey], timedelta | None]
"""Brings one thing in order, from whatever state; returns when to look again, or none to wait for an event.

It may raise: the queue then tries again, each time later. It is never called twice at once for one key.
"""
