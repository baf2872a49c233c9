"""CPU and memory of the steps of a run."""

from decimal import Decimal
from typing import Literal, Self

from pydantic import ConfigDict, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import Cpu, Memory

StepKind = Literal["Ingest", "Train", "Evaluate", "Decide"]
_MEMORY_UNITS = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_quantity(text: str) -> Decimal:
    """Returns CPUs, or bytes, of a text that matches the pattern of ``Cpu`` or ``Memory``."""
    if text.endswith("m"):
        return Decimal(text[:-1]) / 1000
    number = text.rstrip("MGTi")
    return Decimal(number) * _MEMORY_UNITS.get(text[len(number) :], 1)


class ResourceAmounts(ApiModel):
    """Amounts of CPU and memory."""

    cpu: Cpu | None = None
    """CPUs, for example "4" or 500m. If omitted, the amount that the operator's installation sets, or else none."""
    memory: Memory | None = None
    """Memory, for example 16Gi. If omitted, the amount that the operator's installation sets, or else none."""


def _limit_message(name: str) -> str:
    return f"limits.{name} is less than requests.{name}; raise limits.{name}, or lower requests.{name}"


def _limit_rule(name: str) -> tuple[str, str]:
    request, limit = f"self.requests.{name}", f"self.limits.{name}"
    comparable = f"has({request}) && has({limit}) && isQuantity({request}) && isQuantity({limit})"
    return f"!({comparable}) || quantity({limit}).compareTo(quantity({request})) >= 0", _limit_message(name)


class StepResourcesSpec(ApiModel):
    """CPU and memory of the container in which one kind of step runs."""

    model_config = ConfigDict(json_schema_extra=cel_rules(_limit_rule("cpu"), _limit_rule("memory")))

    step: StepKind
    """Ingest reads files; Train; Evaluate: evaluations of an update, and scheduled ones; Decide: the gate."""
    requests: ResourceAmounts = ResourceAmounts()
    """What the scheduler reserves on a node, and what a quota of requests counts."""
    limits: ResourceAmounts = ResourceAmounts()
    """What the container may use at most, and what a quota of limits counts. More memory ends the step."""

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        for name in ResourceAmounts.model_fields:
            request, limit = getattr(self.requests, name), getattr(self.limits, name)
            if request and limit and parse_quantity(limit) < parse_quantity(request):
                raise ValueError(_limit_message(name))
        return self
