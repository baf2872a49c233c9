"""Other answers of a network that a method trains: no choice of a classifier changes a gradient.

So one training gives the answers of several rows; a test holds that they are those of runs of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import Tensor

from anamnesis.methods import Data, Method, TaskContext, build_method
from anamnesis.methods.base import Branch
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.ewc_prototype import EWCPrototype
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.heads.learned_prototypes import LearnedPrototypes
from anamnesis.methods.heads.task_router import TaskRouter
from anamnesis.methods.method_component import MethodComponent
from anamnesis.networks import Classifier
from anamnesis.records import Configuration
from benchmarks.scoreboard.options import flatten_options, nest_options


class SecondAnswer(Protocol):
    """A classifier beside the method's own."""

    @property
    def network(self) -> Any:
        """The network that the method trains."""

    def begin(self, context: TaskContext, data: Data) -> None:
        """Prepares for a site; call it before the training."""

    def end(self, context: TaskContext, data: Data) -> None:
        """Measures the site; call it after the training."""

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps that the answer reads."""

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns logits [N, K]."""


class _Parts:
    """Components that measure each site on a network that somebody else trains."""

    def __init__(self, network: Classifier, parts: Sequence[MethodComponent]) -> None:
        self.network, self._parts = network, tuple(parts)

    def begin(self, context: TaskContext, data: Data) -> None:
        """Prepares the components for a site."""
        for part in self._parts:
            part.begin_task(self.network, context, data)

    def end(self, context: TaskContext, data: Data) -> None:
        """Lets the components measure the site."""
        for part in reversed(self._parts):
            part.end_task(self.network, context, data)


class ClosedFormAnswer(_Parts):
    """``ewc_prototype`` with class prototypes in frozen features: the README's example."""

    def __init__(self, configuration: Configuration, trained: EWCPrototype, pretrained: Mapping[str, Tensor]) -> None:
        options = flatten_options(configuration.options) | {"classifier.mode": "routed"}
        method = build_method(replace(configuration, options=nest_options(options)))
        assert isinstance(method, EWCPrototype)
        method.load_pretrained(pretrained)
        method.network = trained.network
        self._method = method
        super().__init__(
            trained.network, [part for part in method.components if isinstance(part, TaskGroups | TaskRouter)]
        )

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps that the answer reads."""
        return self._method.explained_features(images)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns logits [N, K]."""
        return self._method.answer_from(features)


class PrototypeAnswer(_Parts):
    """Head and prototypes in the learned features, of a method that has no prototypes: they stay where they were."""

    def __init__(self, trained: ClassificationMethod[Any]) -> None:
        groups = TaskGroups()
        self._method, self._prototypes = trained, LearnedPrototypes(groups, None, 1.0)
        super().__init__(trained.network, [groups, self._prototypes])

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps that the answer reads."""
        return self._method.explained_features(images)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns logits [N, K]."""
        embedding = self.network.embed(features[0])
        return self._prototypes.route_logits(embedding, self._method.answer_from(features))


class HeadAnswer(_Parts):
    """The head alone, of a method whose prototypes take part."""

    def __init__(self, trained: EWCPrototype) -> None:
        super().__init__(trained.network, ())

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps that the answer reads."""
        return (Branch("network", self.network.features(images), learns=True),)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns logits [N, K]."""
        return self.network.classify(features[0])


HEAD, PROTOTYPES, CLOSED_FORM, OWN = "head", "head and prototypes", "closed form", "own"


def second_answers(
    configuration: Configuration, trained: Method[Any], pretrained: Mapping[str, Tensor]
) -> dict[str, SecondAnswer]:
    """Returns the answers beside that of the method, by name."""
    if isinstance(trained, EWCPrototype):
        head: dict[str, SecondAnswer] = {HEAD: HeadAnswer(trained)}
        is_whole = trained.options.consolidation.penalty and trained.options.reconstruction.weight
        return head | ({CLOSED_FORM: ClosedFormAnswer(configuration, trained, pretrained)} if is_whole else {})
    if isinstance(trained, ClassificationMethod) and not trained.capabilities.opens_earlier_data:
        return {PROTOTYPES: PrototypeAnswer(trained)} if type(trained.network) is Classifier else {}
    return {}


def own_answer(trained: Method[Any]) -> str:
    """Returns the name of the method's own answer."""
    if isinstance(trained, EWCPrototype):
        return PROTOTYPES
    return HEAD if isinstance(trained, ClassificationMethod) and type(trained.network) is Classifier else OWN
