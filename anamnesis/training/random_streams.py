"""Named random streams. A stream depends only on the seed and its name, so it has no state to store."""

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class RandomStreams:
    """Random generators by name: ``streams.generator("shuffle", "train", epoch)``.

    Counters in the name replace stored generator states: a run that resumes at any step draws the same numbers as an
    uninterrupted run.

    Attributes:
        seed: of the configuration.
        scope: distinguishes updates: the site and the number of its update. It does not name the method: compared
            methods get the same images in the same order, and the same initial weights.
    """

    seed: int
    scope: str = ""

    def derive_seed(self, *name: object) -> int:
        """Returns the 63-bit seed of the stream called ``name``."""
        text = "/".join(map(str, (self.seed, self.scope, *name)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def generator(self, *name: object, device: torch.device | str = "cpu") -> torch.Generator:
        """Returns a fresh generator at the start of the stream called ``name``."""
        return torch.Generator(device=device).manual_seed(self.derive_seed(*name))
