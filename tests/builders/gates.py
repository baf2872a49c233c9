"""Gates of models of made-up images, which have too few patients for a limit."""

from decimal import Decimal
from typing import Any

from anamnesis.registry import ApprovalMode, GatePolicy

OPEN_GATE: dict[str, Any] = {
    "floor": "0",
    "margin": "1",
    "recallFloor": "0",
    "recallMargin": "1",
    "siteInferred": "0",
    "calibrationError": "1",
    "minimumTestPatients": 0,
    "approval": "Automatic",
}
"""Every version passes once it is evaluated."""
OPEN_POLICY = GatePolicy(
    floor=Decimal(0),
    margin=Decimal(1),
    recall_floor=Decimal(0),
    recall_margin=Decimal(1),
    approval=ApprovalMode.AUTOMATIC,
    minimum_test_patients=0,
)
