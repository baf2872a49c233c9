"""How an update trains: method, network and training settings. All of it is part of the version's digest."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.records.errors import InputError


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The network and its input.

    Attributes:
        name: ``SmallCNN`` or ``ResNet18``.
        channels: 1 (colour images are converted to grey) or 3 (grey images are repeated).
        size: height and width in pixels; every image is resized to it.
        norm: ``group`` or ``batch``.
        width: channels of the first layer.
    """

    name: str = "SmallCNN"
    channels: int = 1
    size: tuple[int, int] = (64, 64)
    norm: str = "group"
    width: int = 32


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Budget and numerics of the training loop.

    Attributes:
        epochs: passes over the new site's training split, for a method of one stage.
        batch_size: images in a step.
        learning_rate: the peak learning rate.
        optimiser: ``adamw`` or ``sgd``.
        weight_decay: decoupled weight decay.
        augment: whether batches are augmented, see ``anamnesis.training.augmentation``.
        seed: seed of every named random stream.
        threads: intra-op threads; their number changes the rounding, so it is part of the configuration.
        precision: ``auto``, ``float32`` or ``bfloat16``.
    """

    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 1e-3
    optimiser: str = "adamw"
    weight_decay: float = 1e-4
    augment: bool = True
    seed: int = 0
    threads: int = 1
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"training.{name}: expected 1 or more, found {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise InputError(f"training.learning_rate: expected more than 0, found {self.learning_rate}")


@dataclass(frozen=True, slots=True)
class Configuration:
    """One method on one network with one training budget.

    Attributes:
        method: the registered name, for example ``ewc_prototype``.
        options: the options of the method, checked against its options class.
        network: the network.
        training: the training settings.
    """

    method: str
    options: Mapping[str, object] = field(default_factory=dict)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
