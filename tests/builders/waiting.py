"""Waiting for a condition without a fixed sleep."""

import time
from collections.abc import Callable


def eventually(check: Callable[[], bool], seconds: float = 30) -> None:
    """Returns once ``check`` holds; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
