"""Evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class HasModules(Protocol):
    """What has submodules; every ``nn.Module``."""

    def modules(self) -> Iterator[Any]:
        """Returns every submodule, as ``nn.Module.modules``."""


@contextmanager
def evaluation_mode(network: HasModules) -> Iterator[None]:
    """Puts every submodule into eval mode and afterwards back into the one that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training
