"""How an update trains: method, network and training settings. All of it is part of the version's digest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from anamnesis.records.codec import encode, encode_object
from anamnesis.records.errors import InputError
from anamnesis.records.patches import PatchSettings

LARGEST_MEAN, SMALLEST_STD = 1000, 1e-6
"""Of images in [0, 1]. Beyond these, float32 has no digit of an image left."""


class WeightsFormat(StrEnum):
    """Format of a file of weights."""

    SAFETENSORS = "safetensors"
    """Tensors by name."""
    PYTORCH = "pytorch"
    """A checkpoint of PyTorch that holds tensors only; code in it is refused."""
    MONAI_BUNDLE = "monai-bundle"
    """A bundle of MONAI, as a zip archive."""


class ChannelRule(StrEnum):
    """How the convolution that reads the input gets another number of channels than the file has."""

    REFUSE = "refuse"
    """Not at all: such a file is refused."""
    SUM = "sum"
    """A grey image has the response of the same image in all channels of the file's network."""
    MEAN = "mean"
    """Each channel gets the mean of the file's channels."""


@dataclass(frozen=True, slots=True)
class WeightsSettings:
    """The weights that a network starts from.

    Attributes:
        url: where the file is; it may move, as the digest decides.
        sha256: digest of the file's bytes, ``sha256:`` and 64 hex digits.
        format: how the file is read.
        mapping: name of the rule from the file's names to the network's; empty: the names are equal.
        licence: of the weights, as the model card shows it.
        channels: how the first convolution is converted to the channels of the input.
    """

    url: str
    sha256: str
    format: WeightsFormat = WeightsFormat.SAFETENSORS
    mapping: str = ""
    licence: str = ""
    channels: ChannelRule = ChannelRule.REFUSE

    def __post_init__(self) -> None:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", self.sha256):
            raise InputError(
                f"network.weights.sha256: expected sha256: and 64 hex digits, found {self.sha256!r}; copy the digest "
                "that 'sha256sum FILE' prints"
            )


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The network and its input.

    Attributes:
        type: an own network (``SmallCNN``, ``ResNet18``), ``timm/<model>`` or ``monai/<network>``.
        channels: 1 (colour images are converted to grey) or 3 (grey images are repeated).
        size: height and width in pixels, or the three sides of a volume in voxels; every image is resized to it.
        options: arguments of the architecture, checked against its options class.
        weights: the weights that it starts from; none: it starts at random.
        frozen: what never learns: ``nothing``, ``all``, or ``stages 1-4``: the layers up to that feature level.
        batch_statistics: ``learned``, or ``frozen``: the batch normalisations keep the statistics that they start with.
        mean: of each channel of the images, which are in [0, 1], or one number for all; empty: the network's own.
        std: the standard deviation, likewise.
        patches: the network reads patches of ``size`` of volumes; none: it reads images whole.
    """

    type: str = "SmallCNN"
    channels: int = 1
    size: tuple[int, ...] = (64, 64)
    options: Mapping[str, object] = field(default_factory=dict)
    weights: WeightsSettings | None = None
    frozen: str = "nothing"
    batch_statistics: str = "learned"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    patches: PatchSettings | None = None

    @property
    def image_size(self) -> tuple[int, ...]:
        """The sides that every image is resized to: those of the input, or of the volume that patches are of."""
        return self.patches.volume if self.patches else self.size

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3):
            raise InputError(f"network.input.size: expected two sides, or three of a volume, found {list(self.size)}")
        if self.channels not in (1, 3):
            raise InputError(f"network.input.channels: expected 1 or 3, found {self.channels}")
        if not re.fullmatch(r"nothing|all|stages 1-[1-9]", self.frozen):
            raise InputError(f"network.frozen: expected Nothing, All or Stages 1-4, found {self.frozen!r}")
        if self.batch_statistics not in ("learned", "frozen"):
            raise InputError(f"network.batchStatistics: expected Learned or Frozen, found {self.batch_statistics!r}")
        if self.patches:
            self.patches.check(self.size)
        self._check_normalisation()

    def _check_normalisation(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, self.channels):
                raise InputError(
                    f"network.input.normalisation.{name}: expected one number, or one for each of {self.channels} "
                    f"channels, found {list(values)}"
                )
        if bool(self.mean) != bool(self.std) or not all(value > 0 for value in self.std):
            raise InputError(
                f"network.input.normalisation: expected a mean, and a std above 0, found {list(self.mean)} and "
                f"{list(self.std)}; set both or none"
            )
        if not all(abs(mean) <= LARGEST_MEAN for mean in self.mean) or not all(std >= SMALLEST_STD for std in self.std):
            raise InputError(
                f"network.input.normalisation: images are in [0, 1], so expected a mean of at most {LARGEST_MEAN} and "
                f"a std of at least {SMALLEST_STD:g}, found {list(self.mean)} and {list(self.std)}; correct the numbers"
            )


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Budget and numerics of the training loop.

    Attributes:
        epochs: passes over the new site's training split, for a method of one stage.
        batch_size: images in a step.
        learning_rate: the peak learning rate; none: that of the base version, or a short range test chooses it, see
            ``anamnesis.training.learning_rate``.
        optimiser: ``adamw`` or ``sgd``.
        weight_decay: decoupled weight decay.
        augment: whether batches are augmented, see ``anamnesis.training.augmentation``.
        seed: seed of every named random stream.
        threads: intra-op threads; their number changes the rounding, so it is part of the configuration.
        precision: ``auto``, ``float32`` or ``bfloat16``.
    """

    epochs: int = 8
    batch_size: int = 32
    learning_rate: float | None = 1e-3
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
        if self.learning_rate is not None and not self.learning_rate > 0:
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

    @property
    def identity(self) -> "Configuration":
        """The configuration without the address of the weights: a moved file is the same model."""
        weights = self.network.weights
        if weights is None:
            return self
        return replace(self, network=replace(self.network, weights=replace(weights, url="")))

    def with_learning_rate(self, learning_rate: float | None) -> "Configuration":
        """Returns the configuration with another learning rate."""
        return replace(self, training=replace(self.training, learning_rate=learning_rate))

    def inherit_learning_rate(self, base: "Configuration") -> "Configuration":
        """Returns the configuration with the learning rate of ``base`` where it has none and trains alike."""
        if self.training.learning_rate is not None or self.method != base.method:
            return self
        rate = base.training.learning_rate
        inherited = self.with_learning_rate(rate)
        is_alike = (self.training.optimiser, self.training.batch_size) == (
            base.training.optimiser,
            base.training.batch_size,
        )
        return inherited if is_alike else self

    def is_configuration_of(self, stored: Mapping[str, object]) -> bool:
        """Returns whether a version with the ``stored`` configuration was trained with this one.

        Where this one has no learning rate, the version has one that was chosen for it.
        """
        expected = encode_object(self)
        if self.training.learning_rate is None:
            training = stored.get("training")
            rate = training.get("learning_rate") if isinstance(training, Mapping) else None
            expected = encode_object(self.with_learning_rate(rate))
        return encode(stored) == expected
