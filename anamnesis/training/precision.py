"""Device, precision and memory layout, and the record of the environment that equal bits depend on."""

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from anamnesis.records import Configuration, InputError


@dataclass(frozen=True, slots=True)
class Precision:
    """Device and precision of computations.

    Attributes:
        device: the device.
        use_bfloat16: whether convolutions and products run in bfloat16.
        memory_format: memory layout of images and convolution weights; volumes have that of three sides.
        threads: intra-op threads.
    """

    device: torch.device
    use_bfloat16: bool
    memory_format: torch.memory_format
    threads: int

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context for forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.use_bfloat16 else nullcontext()

    @contextmanager
    def deterministic_mode(self) -> Iterator[None]:
        """Sets threads and deterministic algorithms, and restores the earlier settings at the end."""
        threads, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        deterministic: Any = torch.utils.deterministic
        fills_memory = deterministic.fill_uninitialized_memory
        torch.set_num_threads(self.threads)
        # Some backward passes have no deterministic form on a GPU; there they warn instead of failing.
        torch.use_deterministic_algorithms(True, warn_only=self.device.type != "cpu")
        deterministic.fill_uninitialized_memory = False  # costs time; nothing reads such memory
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(was_deterministic, warn_only=warn_only)
            deterministic.fill_uninitialized_memory = fills_memory

    def seed(self, seed: int) -> None:
        """Seeds the global generators of the processor and of the device.

        ``torch.manual_seed`` does it for every kind of device, and formats the stack for each that the machine lacks.
        """
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)

    def move_to_device(self, module: nn.Module) -> None:
        """Moves a module to the device, with convolution weights in the layout."""
        module.to(device=self.device)
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.dim() in (4, 5):
                tensor.data = tensor.data.to(memory_format=self._layout_of(tensor))

    def lay_out(self, images: Tensor) -> Tensor:
        """Returns images [N, C, *sides] in the layout."""
        return images.contiguous(memory_format=self._layout_of(images))

    def _layout_of(self, tensor: Tensor) -> torch.memory_format:
        is_volume = tensor.dim() == 5 and self.memory_format is torch.channels_last
        return torch.channels_last_3d if is_volume else self.memory_format

    def environment(self) -> dict[str, str]:
        """Returns the properties that equal bits depend on, besides the inputs."""
        cuda = self.device.type == "cuda"
        return {
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(self.device) if cuda else platform.machine(),
            "instructions": torch.backends.cpu.get_cpu_capability() + (" AMX" if has_matrix_tiles() else ""),
            "precision": "bfloat16" if self.use_bfloat16 else "float32",
            "threads": str(self.threads),
        }


def precision_for(configuration: Configuration, device: str = "") -> Precision:
    """Chooses device, precision and layout.

    ``auto`` takes bfloat16 on GPUs that have it, and on processors with bfloat16 matrix tiles for all networks but the
    small one: on the ResNet-18 it is three times as fast, on the small network it gains little (``python -m
    benchmarks precision``).

    Raises:
        InputError: an unknown precision.
    """
    torch_device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precision_name = configuration.training.precision
    if precision_name not in ("auto", "float32", "bfloat16"):
        raise InputError(f"training.precision: expected one of auto, float32, bfloat16, found {precision_name!r}")
    use_bfloat16 = precision_name == "bfloat16" or (
        precision_name == "auto" and _gains_from_bfloat16(torch_device, configuration.network.type)
    )
    return Precision(torch_device, use_bfloat16, torch.channels_last, configuration.training.threads)


def _gains_from_bfloat16(device: torch.device, network_type: str) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return network_type != "SmallCNN" and has_matrix_tiles()


def has_matrix_tiles() -> bool:
    """Returns whether the processor multiplies bfloat16 matrices in hardware; false for older torch."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))
