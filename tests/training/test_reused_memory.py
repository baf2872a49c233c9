"""Memory of the processor that a step leaves to the next one."""

import ctypes
import resource
from pathlib import Path

import pytest
import torch

from anamnesis.training.reused_memory import reused_memory

NUMBERS, PAGE = 12 << 20, 4096


def faulted_share(turns: int = 4) -> float:
    """Returns the share of the pages of a new tensor of 48 MiB that the system had to provide, after a first one."""
    torch.ones(NUMBERS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(turns):
        torch.ones(NUMBERS)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return faults * PAGE / (4 * NUMBERS * turns)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_a_step_finds_the_memory_of_the_one_before_and_the_end_returns_it() -> None:
    with reused_memory():
        assert faulted_share() < 0.5
        bytes_in_use = resident_bytes()
    assert bytes_in_use - resident_bytes() > 2 * NUMBERS
