"""Optimisers from the settings, and their state as plain tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from anamnesis.methods.stage import Stage
from anamnesis.records import InputError, TrainingSettings


def make_optimiser(stage: Stage, settings: TrainingSettings, device: torch.device) -> torch.optim.Optimizer:
    """Returns the stage's optimiser; every step sets its learning rates.

    Raises:
        InputError: an unknown name.
    """
    groups = [
        {
            "params": list(group.parameters),
            "weight_decay": settings.weight_decay * group.weight_decay_scale,
        }
        for group in stage.groups
    ]
    name = stage.optimiser or settings.optimiser
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, fused=device.type in ("cpu", "cuda"))
    if name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9, fused=device.type in ("cpu", "cuda"))
    raise InputError(f"training.optimiser: expected one of adamw, sgd, found {name!r}")


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns the tensors of every parameter's state as ``<position>/<name>``."""
    state = optimiser.state_dict()["state"]
    return {f"{position}/{name}": value for position, items in state.items() for name, value in items.items()}


def load_optimiser_state(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restores what ``optimiser_state`` returned, each tensor in the memory layout of its parameter.

    Another layout would change the order of summation, and so the bits of the resumed run.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        position, name = key.split("/", 1)
        parameter = parameters[int(position)]
        aligned_value = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        state.setdefault(int(position), {})[name] = aligned_value.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
