"""Device, precision and memory layout, and the record of everything that equal bits depend on."""

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from anamnesis.records import Configuration, InputError


@dataclass(frozen=True, slots=True)
class Numerics:
    """How the numbers are computed.

    Attributes:
        device: where.
        half: whether convolutions and products run in bfloat16.
        layout: memory layout of images and convolution weights.
        threads: intra-op threads.
    """

    device: torch.device
    half: bool
    layout: torch.memory_format
    threads: int

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context for forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Sets threads and deterministic algorithms, and puts back what was set before."""
        threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.set_num_threads(self.threads)
        # On a GPU a few backward passes have no deterministic form; there they warn instead of failing.
        torch.use_deterministic_algorithms(True, warn_only=self.device.type != "cpu")
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict, warn_only=warn_only)

    def place(self, module: nn.Module) -> None:
        """Moves a module to the device, its convolution weights in the layout."""
        module.to(device=self.device)
        module.to(memory_format=self.layout)  # type: ignore[call-overload]  # missing in torch's own stubs

    def environment(self) -> dict[str, str]:
        """Returns what equal bits depend on besides the inputs."""
        cuda = self.device.type == "cuda"
        return {
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(self.device) if cuda else platform.machine(),
            "instructions": torch.backends.cpu.get_cpu_capability() + (" AMX" if has_matrix_tiles() else ""),
            "precision": "bfloat16" if self.half else "float32",
            "threads": str(self.threads),
        }


def numerics_for(configuration: Configuration, device: str = "") -> Numerics:
    """Chooses device, precision and layout.

    ``auto`` takes bfloat16 on GPUs that have it, and on processors with bfloat16 matrix tiles for the ResNet-18,
    where it is three times as fast; on the small network it gains little (``python -m benchmarks precision``).

    Raises:
        InputError: an unknown precision.
    """
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    wanted = configuration.training.precision
    if wanted not in ("auto", "float32", "bfloat16"):
        raise InputError(f"training.precision: {wanted!r} is not one of auto, float32, bfloat16")
    half = wanted == "bfloat16" or (wanted == "auto" and _gains_from_half(chosen, configuration.network.name))
    return Numerics(chosen, half, torch.channels_last, configuration.training.threads)


def _gains_from_half(device: torch.device, network: str) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return network == "ResNet18" and has_matrix_tiles()


def has_matrix_tiles() -> bool:
    """Tells whether the processor multiplies bfloat16 matrices in hardware; unknown (older torch) counts as no."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))
