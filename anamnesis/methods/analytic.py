"""The base of the methods in closed form: a frozen backbone, a grid of cells, and sums over images."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from anamnesis.methods.base import Branch, Data, Stage, StateDict, TaskContext, part_tensors
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.features.site_sums import SiteSums
from anamnesis.methods.option_checks import check_bounds, check_rules, count_between
from anamnesis.methods.site_state import tensors_by_site
from anamnesis.networks import build_backbone
from anamnesis.networks.random_features import GRID, GridClassifier, RandomBackbone
from anamnesis.records import InputError, NetworkSettings, Split
from anamnesis.records.option_rules import OptionRule


class BackboneSource(StrEnum):
    """Origin of the frozen backbone."""

    FIRST_TASK = "first_task"
    """Trained by gradient on the first site, then frozen from the first update of another site on."""
    RANDOM = "random"
    """Random convolutions."""
    FILE = "file"
    """Read from a file of weights at the first update."""


_FILE_MISSING = "file needs the option file; set file to a safetensors file, or choose another value of features"
_FILE_UNUSED = "it has an effect only where features is file; remove file, or set features to file"


@dataclass(frozen=True, slots=True)
class AnalyticOptions:
    """Options that the methods in closed form share.

    Attributes:
        features: origin of the frozen backbone: ``first_task``, ``random`` or ``file``.
        file: for ``file``, a safetensors file with the backbone's weights, as a path or ``s3://bucket/prefix/name``.
        grid: cells along each side that the feature maps are averaged over.
    """

    features: BackboneSource = BackboneSource.FIRST_TASK
    file: str = ""
    rules: ClassVar[tuple[OptionRule, ...]] = (
        OptionRule("features", ("file",), "file", _FILE_MISSING, forbidden_values=("",)),
        OptionRule("file", (), "features", _FILE_UNUSED, needed_values=("file",)),
    )
    grid: int = count_between(1, 64, GRID)

    def __post_init__(self) -> None:
        check_bounds("method option", self)
        check_rules("method option", self, self.rules)
        if self.file and self.features is not BackboneSource.FILE:
            raise InputError(f"method option file: {_FILE_UNUSED}")


Options = TypeVar("Options", bound=AnalyticOptions)


class AnalyticMethod(ClassificationMethod[Options]):
    """A frozen backbone and a head in closed form, from sums that forget nothing. Subclasses compute the head.

    State: ``ridge.<site>``, the sums of each site; their size depends on the features and classes alone.
    """

    network: GridClassifier

    def build(self, spec: NetworkSettings, seed: int) -> GridClassifier:
        """Returns the backbone with an empty head over the grid."""
        self._class_indices: tuple[int, ...] = ()
        is_random = self.options.features is BackboneSource.RANDOM
        backbone = RandomBackbone(spec.channels, seed) if is_random else build_backbone(spec, seed)
        network = GridClassifier(backbone, self.options.grid)
        self._statistics = SiteSums(network.head.weight.shape[1])
        return network

    @abstractmethod
    def solve_head(self, statistics: FeatureStatistics) -> Tensor:
        """Returns the head's weights [K, D + 1], the bias last."""

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head; a stage of gradient descent only where the backbone comes from the first site.

        As long as there is no other site, the backbone goes on learning: all sums are computed again.
        """
        stages, is_first_update = super().begin_task(context, data), not self._statistics.sites
        device = self.network.head.weight.device
        self._statistics.to(device)
        self._statistics.clear(context.site, len(context.labels), device)
        if context.other_sites:
            return []
        if self.options.features is BackboneSource.FILE and is_first_update:
            self._load_backbone(context)
        return stages if self.options.features is BackboneSource.FIRST_TASK else []

    def _load_backbone(self, context: TaskContext) -> None:
        """Loads the weights of the file into the backbone; other tensors of the file are ignored.

        Raises:
            InputError: the file cannot be read, is not a safetensors file, or has other weights.
        """
        file = self.options.file
        try:
            weights = {key.replace(".", "/", 1): value for key, value in load(context.read_file(file)).items()}
            self.network.backbone.load_state_dict(part_tensors(weights, "backbone"))
        except InputError as error:
            raise InputError(
                f"{self.name}.file: {file} cannot be read: {error}; correct the path, or the rights on the file"
            ) from error
        except SafetensorError as error:
            raise InputError(
                f"{self.name}.file: {file} is not a readable safetensors file: {error}; export the file again"
            ) from error
        except RuntimeError as error:
            mismatches = " ".join(str(error).split())[:400]
            raise InputError(
                f"{self.name}.file: the weights in {file} do not fit the network "
                f"{type(self.network.backbone).__name__}: "
                f"{mismatches}; give weights of this network, or set network to the network of the file"
            ) from error

    @torch.no_grad()
    def end_task(self, context: TaskContext, data: Data) -> None:
        """Replaces the sums of the site by those of its images, and solves for the head."""
        head = self.network.head
        statistics = FeatureStatistics(head.weight.shape[1], len(context.labels), head.weight.device)
        for batch in data(Split.TRAIN):
            statistics.add(self.network.embed(self.network.features(batch.images)), batch.targets)
        self._statistics.replace(context.site, statistics)
        self._update_head()

    @torch.no_grad()
    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the sums of ``site`` and solves for the head again, exactly as if the site had never been learned.

        A backbone that the site trained stays.
        """
        super().forget_site(site, kept_columns)
        self._statistics.forget(site, kept_columns)
        self._update_head()

    def _update_head(self) -> None:
        head_weights = self.solve_head(self._statistics.total)
        self.network.head.weight.copy_(head_weights[:, :-1])
        self.network.head.bias.copy_(head_weights[:, -1])

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the frozen feature maps, always in float32, like the sums behind the head."""
        with torch.autocast(images.device.type, enabled=False):
            return tuple(replace(branch, learns=False) for branch in super().explained_features(images))

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns the head's logits [N, K], always in float32."""
        with torch.autocast(features[0].device.type, enabled=False):
            return super().answer_from(features)

    def state_dict(self) -> StateDict:
        """Returns the network and the sums."""
        return super().state_dict() | self._statistics.state_dict("ridge")

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and the sums.

        Raises:
            InputError: the base version was made by a method without sums.
        """
        if not tensors_by_site(state, "ridge"):
            raise InputError(
                f"method.name: {self.name} cannot continue from the base version, which another method made; set "
                "method.name back to the earlier method, or create a new ContinualModel with an empty registry"
            )
        super().load_state_dict(state, class_count)
        self._statistics.load_state_dict(state, "ridge", self.network.head.weight.device)
