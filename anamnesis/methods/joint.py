"""Joint training on the data of all sites at once: the upper bound, not continual learning.

It opens the training splits of all earlier snapshots, which hospitals do not allow.
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
    """Cross-entropy over all seen classes, on all data so far, from the base version's weights."""

    capabilities = MethodCapabilities(opens_earlier_data=True)
    notes = ("It opens the training splits of all sites at every update: an upper bound, not continual learning.",)
