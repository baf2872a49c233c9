"""One network for each update, frozen after it, and a router that says whose image it is: what not forgetting costs.

Expert gate (Aljundi et al., CVPR 2017) without its auto-encoders: the router is a linear discriminant on frozen random
features, in closed form, so that it forgets nothing either. Answers are p(update | x) p(class | update, x). Its size
grows by one network with each update; that is the price in bytes which methods with one network are compared with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.methods.base import (
    Batch,
    Data,
    Method,
    Needs,
    ParameterGroup,
    Prediction,
    PredictRequest,
    Stage,
    State,
    Step,
    TaskContext,
    part_of,
)
from anamnesis.methods.classification import only
from anamnesis.methods.features.feature_statistics import Ridge, answer
from anamnesis.methods.register import register
from anamnesis.networks import Classifier
from anamnesis.networks.random_features import RandomFeatures
from anamnesis.records import InputError, NetworkSpec, Split


@dataclass(frozen=True, slots=True)
class SpecialistsOptions:
    """Options of ``specialists``.

    Attributes:
        strength: added to the diagonal of the scatter behind the router.
    """

    strength: float = 100.0

    def __post_init__(self) -> None:
        if not self.strength > 0:
            raise InputError(f"specialists: expected strength above 0, found {self.strength}")


class Panel(nn.Module):
    """Specialists side by side.

    Attributes:
        members: one classifier for each update.
        columns: for each member, which columns of the logits its rows are.
    """

    def __init__(self, spec: NetworkSpec, seed: int) -> None:
        super().__init__()
        self.members, self.columns = nn.ModuleList(), list[list[int]]()
        self.router = RandomFeatures(spec.channels, seed)
        self._start = (spec, seed)

    def join(self, columns: list[int], generator: torch.Generator) -> Classifier:
        """Appends a classifier at its random start and returns it."""
        member = Classifier(*self._start)
        member.head.grow(len(columns), generator)
        device = next(self.router.buffers()).device
        self.members.append(member.to(device=device).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        self.columns.append(columns)
        return member

    def everyone(self) -> Iterator[Classifier]:
        """Yields the members in the order in which they joined."""
        yield from (cast(Classifier, member) for member in self.members)

    def features(self, images: Tensor) -> Tensor:
        """Maps images [N, C, H, W] to every member's feature maps, [N, members x F, h, w]."""
        return torch.cat([member.features(images) for member in self.everyone()], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Maps feature maps to logits [N, K], as if every member were as likely."""
        return self.joined(features, features.new_zeros(len(features), len(self.members)).float())

    def joined(self, features: Tensor, log_chances: Tensor) -> Tensor:
        """Returns log p(class | x) [N, K] of feature maps, given log p(member | x) [N, members]."""
        known = 1 + max(max(columns) for columns in self.columns)
        answers = log_chances.new_full((len(features), len(self.members), known), -torch.inf)
        for place, (member, maps) in enumerate(zip(self.everyone(), features.chunk(len(self.members), 1), strict=True)):
            answers[:, place, self.columns[place]] = member.classify(maps).log_softmax(1) + log_chances[:, place, None]
        return answers.logsumexp(1)


@register("specialists", SpecialistsOptions)
class Specialists(Method[SpecialistsOptions]):
    """Cross-entropy on the new data, in a network of its own.

    State: ``member_0``, ``member_1``, ... and ``router``, the sums of random features of each member's classes.
    """

    needs = Needs(research=True)
    notes = ("It keeps one network for each update, so that its size grows with every update.",)
    network: Panel

    def build(self, spec: NetworkSpec, seed: int) -> Panel:
        """Returns a panel without a member."""
        panel = Panel(spec, seed)
        self._sums, self._weights = Ridge(panel.router.width_out), torch.zeros(0)
        return panel

    def begin(self, context: TaskContext, data: Data) -> list[Stage]:
        """A new member joins; the others stay as they are."""
        self._member = self.network.join(list(context.columns), context.streams.generator("head"))
        self._rows = torch.zeros(len(context.labels), dtype=torch.long, device=self._member.head.weight.device)
        self._rows[list(context.columns)] = torch.arange(len(context.columns), device=self._rows.device)
        return [Stage("train", (ParameterGroup(tuple(self._member.parameters())),), train=(self._member,))]

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Cross-entropy of the new member over its own classes."""
        logits = self._member(batch.images)
        return {"classification": functional.cross_entropy(logits, self._rows[batch.targets])}

    def end(self, context: TaskContext, data: Data) -> None:
        """The router learns which images are the new member's."""
        before = sum(map(len, self.network.columns[:-1]))
        self._sums.to(self._rows.device)
        self._sums.grow(before + len(context.columns))
        for batch in data(Split.TRAIN):
            self._sums.add(self.network.router(batch.images), before + self._rows[batch.targets])
        self._weights = torch.zeros(0)

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictRequest) -> Prediction:
        """Log-probabilities of every class; the pooled features of all members where asked."""
        self.network.eval()
        maps = self.network.features(images)
        logits = self.network.joined(maps, self.log_chances(images))
        embedding = maps.float().mean(dim=(2, 3)) if request.embedding else None
        return Prediction(only(logits, request.columns), embedding=embedding)

    def log_chances(self, images: Tensor) -> Tensor:
        """Returns log p(member | x), [N, members], of images [N, C, H, W]."""
        if not len(self._weights):
            self._weights = self._sums.discriminant(self.options.strength)
        classes = answer(self.network.router(images), self._weights).log_softmax(1)
        sizes = [len(columns) for columns in self.network.columns]
        return torch.stack([part.logsumexp(1) for part in torch.split(classes, sizes, 1)], 1)

    def state_dict(self) -> State:
        """Every member in a part of its own, that later versions share; the router; who answers which columns."""
        state: State = {"panel/columns": self.network.columns}
        for place, member in enumerate(self.network.members):
            state |= {f"member_{place}/{name}": value for name, value in member.state_dict().items()}
        router = {**self.network.router.state_dict(), **self._sums.state_dict()}
        return state | {f"router/{name}": value for name, value in router.items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], labels: int) -> None:
        """Takes all members back; those that are here already keep their place, so that an optimiser still has them."""
        columns = state.get("panel/columns")
        if not isinstance(columns, list):
            raise InputError(f"{self.name}: the base version has no members; start a model of its own")
        for joining in columns[len(self.network.members) :]:
            self.network.join(joining, torch.Generator().manual_seed(0))
        for place, member in enumerate(self.network.members):
            member.load_state_dict(part_of(state, f"member_{place}"))
        router = part_of(state, "router")
        sums = {name: router.pop(name) for name in ("gram", "sums")}
        self.network.router.load_state_dict(router)
        self._sums.load_state_dict(sums, next(self.network.router.buffers()).device)
        self._weights = torch.zeros(0)
