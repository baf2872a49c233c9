"""One network for each site, frozen until the site returns, and a router that predicts the network of an image.

Expert gate (Aljundi et al., CVPR 2017) without its auto-encoders: the router is a linear discriminant on frozen random
features, in closed form, so that it forgets nothing either. Predictions are p(site | x) p(class | site, x). Its size
grows by one network with each site: the price of no forgetting, to compare with methods of one network. A site that
returns gets a new network, from a random start on all its data.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.methods.base import (
    Batch,
    Branch,
    Data,
    Method,
    MethodCapabilities,
    Prediction,
    PredictionRequest,
    StateDict,
    TaskContext,
    part_tensors,
)
from anamnesis.methods.classification import restrict_logits
from anamnesis.methods.features.feature_statistics import FeatureStatistics, linear_logits
from anamnesis.methods.register import register
from anamnesis.methods.site_state import site_entries, tensors_by_site
from anamnesis.methods.stage import ParameterGroup, Stage, TrainingStep
from anamnesis.networks import Classifier
from anamnesis.networks.memory_layout import to_channels_last
from anamnesis.networks.random_features import RandomFeatures
from anamnesis.records import InputError, NetworkSettings, Split
from anamnesis.records.option_checks import check_bounds, positive


@dataclass(frozen=True, slots=True)
class SpecialistsOptions:
    """Options of ``specialists``.

    Attributes:
        strength: the ridge, added to the diagonal of the router's scatter.
    """

    strength: float = positive(100.0)

    def __post_init__(self) -> None:
        check_bounds("specialists", self)


class SpecialistEnsemble(nn.Module):
    """Specialists side by side.

    Attributes:
        members: one classifier for each site.
        sites: the site of each member.
        class_indices: for each member, the columns of the logits that its rows are.
    """

    def __init__(self, spec: NetworkSettings, seed: int) -> None:
        super().__init__()
        self.members, self.sites, self.class_indices = nn.ModuleList(), list[str](), list[list[int]]()
        self.router = RandomFeatures(spec.channels, seed, spatial_dims=len(spec.size))
        self._network_arguments = (spec, seed)
        self.pretrained: Mapping[str, Tensor] = {}

    def add_member(self, site: str, class_indices: list[int], generator: torch.Generator) -> Classifier:
        """Appends a classifier of ``site`` at its start, pretrained or random, and returns it."""
        member = Classifier(*self._network_arguments)
        if self.pretrained:
            member.backbone.load_state_dict(self.pretrained)
        member.head.grow(len(class_indices), generator)
        device = next(self.router.buffers()).device
        to_channels_last(member.to(device=device))
        self.members.append(member)
        self.sites.append(site)
        self.class_indices.append(class_indices)
        return member

    def remove_member(self, site: str) -> None:
        """Removes the classifier of ``site``, if it has one."""
        if site in self.sites:
            position = self.sites.index(site)
            del self.members[position], self.sites[position], self.class_indices[position]

    def iterate_members(self) -> Iterator[Classifier]:
        """Yields the members, the oldest first."""
        yield from (cast(Classifier, member) for member in self.members)

    def combine_members(self, features: Sequence[Tensor], member_log_probs: Tensor) -> Tensor:
        """Returns log p(class | x) [N, K] of each member's feature maps, given log p(member | x) [N, members]."""
        class_count = 1 + max(max(member_classes) for member_classes in self.class_indices)
        log_probs = member_log_probs.new_full((*member_log_probs.shape, class_count), -torch.inf)
        for member_index, (member, feature_maps) in enumerate(zip(self.iterate_members(), features, strict=True)):
            log_probs[:, member_index, self.class_indices[member_index]] = (
                member.classify(feature_maps).log_softmax(1) + member_log_probs[:, member_index, None]
            )
        return log_probs.logsumexp(1)


@register("specialists", SpecialistsOptions)
class Specialists(Method[SpecialistsOptions]):
    """Cross-entropy on the new data, in a separate network for each site.

    State: ``member.<site>``, and ``router.<site>``, the sums of random features of its classes.
    """

    capabilities = MethodCapabilities(research_only=True)
    notes = ("It stores one network for each site, so that its size grows with every site.",)
    network: SpecialistEnsemble

    def build(self, spec: NetworkSettings, seed: int) -> SpecialistEnsemble:
        """Returns an ensemble without members."""
        ensemble = SpecialistEnsemble(spec, seed)
        self._router_statistics: dict[str, FeatureStatistics] = {}
        self._router_weights = torch.zeros(0)
        return ensemble

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Makes ``tensors`` the start of every new member."""
        self.network.pretrained = tensors

    def import_head(self, weight: Tensor, bias: Tensor, site: str) -> None:
        """Adds a member of the pretrained backbone and this head; the router has no image of its site."""
        member = self.network.add_member(site, list(range(len(weight))), torch.Generator().manual_seed(0))
        member.load_head(weight, bias)
        self._router_statistics[site] = FeatureStatistics(self.network.router.width_out, len(weight))

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Adds a new member, in the place of the one that the site had; the others do not change."""
        self.network.remove_member(context.site)
        self._router_statistics.pop(context.site, None)
        self._new_member = self.network.add_member(
            context.site, list(context.class_indices), context.streams.generator("head")
        )
        self._row_of_class = torch.zeros(
            len(context.labels), dtype=torch.long, device=self._new_member.head.weight.device
        )
        self._row_of_class[list(context.class_indices)] = torch.arange(
            len(context.class_indices), device=self._row_of_class.device
        )
        return [
            Stage(
                "train", (ParameterGroup(self._new_member.learnable_parameters()),), train_modules=(self._new_member,)
            )
        ]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns the cross-entropy of the new member over its own classes."""
        logits = self._new_member(batch.images)
        return {"classification": functional.cross_entropy(logits, self._row_of_class[batch.classes])}

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Gives the router the sums of the site's images."""
        statistics = FeatureStatistics(
            self.network.router.width_out, len(context.class_indices), self._row_of_class.device
        )
        for batch in data(Split.TRAIN):
            statistics.add(self.network.router(batch.images), self._row_of_class[batch.classes])
        self._router_statistics[context.site], self._router_weights = statistics, torch.zeros(0)

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the network and the sums of ``site``: nothing of the site is left."""
        self.network.remove_member(site)
        self._router_statistics.pop(site, None)
        self._router_weights = torch.zeros(0)
        position_of_column = {column: position for position, column in enumerate(kept_columns)}
        self.network.class_indices = [
            [position_of_column[column] for column in member_classes] for member_classes in self.network.class_indices
        ]

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        """Returns log-probabilities of all classes and, if requested, the pooled features of all members."""
        self.network.eval()
        features = [branch.features for branch in self.explained_features(images)]
        pooled_features = [
            member.backbone.pool(maps)
            for member, maps in zip(self.network.iterate_members(), features[:-1], strict=True)
        ]
        embedding = torch.cat(pooled_features, dim=1) if request.with_embedding else None
        return Prediction(restrict_logits(self.answer_from(features), request.class_indices), embedding=embedding)

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps of all members, frozen after their own update, and those of the router."""
        members = enumerate(self.network.iterate_members())
        return (
            *(Branch(f"member_{number}", member.features(images), learns=False) for number, member in members),
            Branch("router", self.network.router.feature_maps(images), learns=False),
        )

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns log-probabilities [N, K] of the members' feature maps and, last, the router's."""
        return self.network.combine_members(features[:-1], self.member_log_probs(features[-1]))

    def member_log_probs(self, feature_maps: Tensor) -> Tensor:
        """Returns log p(member | x), [N, members], of the router's feature maps [N, C, h, w].

        A member whose site has no sums, because its weights were imported, gets the same share of every image.
        """
        if not len(self._router_weights):
            self._router_weights = self._sum_router_statistics().solve_discriminant(self.options.strength)
        class_logits = linear_logits(self.network.router.pool(feature_maps), self._router_weights)
        class_counts = [len(member_classes) for member_classes in self.network.class_indices]
        member_logits = torch.stack([block.logsumexp(1) for block in torch.split(class_logits, class_counts, 1)], 1)
        is_unseen = torch.tensor(
            [not self._router_statistics[site].sums[:, -1].any() for site in self.network.sites],
            device=member_logits.device,
        )
        seen_log_probs = member_logits.masked_fill(is_unseen, -torch.inf).log_softmax(1)
        if not is_unseen.any():
            return seen_log_probs
        equal_share = -math.log(len(self.network.sites))
        seen_share = (~is_unseen).double().mean().log().to(seen_log_probs)
        return torch.where(is_unseen, equal_share, seen_log_probs + seen_share)

    def _sum_router_statistics(self) -> FeatureStatistics:
        """Returns the sums over all sites, with the rows of each member after those of the members before it."""
        site_statistics = [self._router_statistics[site] for site in self.network.sites]
        total = FeatureStatistics(self.network.router.width_out, 0, next(self.network.router.buffers()).device)
        for statistics in site_statistics:
            statistics.to(total.gram.device)
        total.gram = torch.stack([statistics.gram for statistics in site_statistics]).sum(0)
        total.sums = torch.cat([statistics.sums for statistics in site_statistics])
        return total

    def state_dict(self) -> StateDict:
        """Returns members and sums of the router, a part for each site, which later versions share."""
        state: StateDict = {"panel/sites": self.network.sites, "panel/columns": self.network.class_indices}
        for site, member in zip(self.network.sites, self.network.members, strict=True):
            state |= site_entries("member", site, member.state_dict())
        for site, statistics in self._router_statistics.items():
            state |= site_entries("router", site, statistics.state_dict())
        return state | {f"router_features/{name}": value for name, value in self.network.router.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores all members; existing ones keep their parameters, because an optimiser may hold them."""
        sites, class_indices = state.get("panel/sites"), state.get("panel/columns")
        if not isinstance(sites, list) or not isinstance(class_indices, list):
            raise InputError(
                f"method.name: {self.name} cannot continue from the base version, which another method made; set "
                "method.name back to the earlier method, or create a new ContinualModel with an empty registry"
            )
        for site, member_classes in list(zip(sites, class_indices, strict=True))[len(self.network.members) :]:
            self.network.add_member(site, member_classes, torch.Generator().manual_seed(0))
        members = tensors_by_site(state, "member")
        for site, member in zip(self.network.sites, self.network.members, strict=True):
            member.load_state_dict(members[site])
        self.network.router.load_state_dict(part_tensors(state, "router_features"))
        device = next(self.network.router.buffers()).device
        self._router_statistics, self._router_weights = {}, torch.zeros(0)
        for site, tensors in tensors_by_site(state, "router").items():
            statistics = FeatureStatistics(self.network.router.width_out)
            statistics.load_state_dict(tensors, device)
            self._router_statistics[site] = statistics
