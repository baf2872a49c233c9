"""Named random streams. A stream is a function of the seed and its name alone, so it has no state to lose."""

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class RandomStreams:
    """Random generators by name: ``streams.generator("shuffle", "train", epoch)``.

    Counters in the name take the place of stored generator states: a run that resumes at any step draws what the
    uninterrupted run would have drawn.

    Attributes:
        seed: of the configuration.
        scope: what keeps two updates apart: the site and which visit it is. Not the method: methods that are compared
            see the same images in the same order, and start from the same weights.
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
