"""Joint training on the data of every site at once: the upper bound. Not continual learning, and says so.

It opens the training splits of all earlier snapshots, which a hospital network is not allowed to do.
"""

from dataclasses import dataclass

from anamnesis.methods.base import MethodCapabilities
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.register import register


@dataclass(frozen=True, slots=True)
class JointOptions:
    """Options of ``joint``: none."""


@register("joint", JointOptions)
class Joint(ClassificationMethod[JointOptions]):
    """Cross-entropy over all seen classes, on all data seen, from the base version's weights."""

    capabilities = MethodCapabilities(opens_earlier_data=True)
    notes = ("It opens the training splits of all sites at every update: an upper bound, not continual learning.",)
