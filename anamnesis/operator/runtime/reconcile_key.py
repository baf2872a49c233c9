"""Keys of resources to reconcile, and the type of the function that reconciles them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, order=True)
class ReconcileKey:
    """One resource to reconcile.

    Attributes:
        kind: ``ContinualModel`` (with its updates), ``Site``, or ``UpdateApproval``: all approvals of one model.
        namespace: its namespace.
        name: its name; for ``UpdateApproval`` the name of the model, so that they are recorded in their order.
    """

    kind: str
    namespace: str
    name: str

    @property
    def is_decision(self) -> bool:
        """Whether the decisions of people wait: they go before everything else."""
        return self.kind == "UpdateApproval"

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


Reconcile = Callable[[ReconcileKey], timedelta | None]
"""Reconciles one resource from any state; returns after how long to requeue it, or none to wait for an event.

It may raise: the queue then requeues the key with a growing back-off. No two calls run at once for one key.
"""
