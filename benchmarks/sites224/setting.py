"""The setting of a run, and its network: that of the README's example."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import yaml

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.requests import configuration
from anamnesis.records import Configuration, NetworkSettings, TrainingSettings, digest_json
from benchmarks.scoreboard.options import flatten_options

README = Path(__file__).parents[2] / "README.md"
FROZEN_STAGES, NOTHING_FROZEN, ALL_FROZEN = "stages 1-4", "nothing", "all"


@dataclass(frozen=True, slots=True)
class SequenceSetting:
    """A run; equal settings give equal results on one machine.

    Attributes:
        sequence: of sites.
        family: whose choice it takes, see ``families.py``.
        method: registered name.
        options: of the method, in its groups.
        seed: of weights, batches and sampling.
        order: 0 as declared, 1 reversed.
        learning_rate: peak rate.
        frozen: which layers never learn.
    """

    sequence: str
    family: str
    method: str
    options: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    order: int = 0
    learning_rate: float = 3e-4
    frozen: str = FROZEN_STAGES

    @property
    def training(self) -> TrainingSettings:
        """The budget of the README's example; views replace the augmentation."""
        training = readme_configuration().training
        return replace(training, learning_rate=self.learning_rate, seed=self.seed, augment=False)

    @property
    def network(self) -> NetworkSettings:
        """The network."""
        network = readme_configuration().network
        statistics = network.batch_statistics if self.frozen != NOTHING_FROZEN else "learned"
        return replace(network, frozen=self.frozen, batch_statistics=statistics)

    @property
    def key(self) -> str:
        """Names its result."""
        numbers = {"method": self.method, "options": dict(self.options), "rate": str(self.learning_rate)}
        digest = digest_json({**numbers, "frozen": self.frozen}).removeprefix("sha256:")[:8]
        return f"{self.sequence} {self.family} {digest} order {self.order} seed {self.seed}"

    @property
    def command(self) -> str:
        """Repeats the run."""
        options = " ".join(f"--option {shlex.quote(f'{k}={v}')}" for k, v in flatten_options(self.options).items())
        words = f"--sequence {self.sequence} --family {shlex.quote(self.family)} --method {self.method} {options}"
        numbers = f"--seed {self.seed} --order {self.order} --learning-rate {self.learning_rate:g}"
        frozen = f" --frozen {shlex.quote(self.frozen)}" if self.frozen != FROZEN_STAGES else ""
        return f"python -m benchmarks.sites224 run {words.rstrip()} {numbers}{frozen}"


@cache
def readme_configuration() -> Configuration:
    """Returns the configuration of the README's example."""
    example = README.read_text(encoding="utf-8").split("```yaml")[1].split("```")[0]
    return configuration(ContinualModelSpec.model_validate(list(yaml.safe_load_all(example))[1]["spec"]))
