"""Annotations, labels and finalizers that the operator reads or writes."""

from typing import Final

GROUP: Final = "anamnesis.dev"
LABEL_PREFIX: Final = f"{GROUP}/"
"""Prefix of the labels ``model`` and ``site`` of a ModelUpdate."""
RUNS_FINALIZER: Final = f"{GROUP}/runs"
"""Earlier releases set it on a ContinualModel during runs. It is removed: in a namespace that is being deleted, the
operator may lose its rights first, and the finalizer would then hold the namespace for ever."""
UPDATE_REQUEST_PREFIX: Final = f"update.{GROUP}/"
"""With a site's name: annotation of a ContinualModel; a higher number requests an update of that site."""
LOST_LOG_HEAD: Final = f"registry.{GROUP}/lost"
"""Annotation of a ContinualModel: the head of its log that a person declares lost, for example after a restore."""
ADOPTED_REGISTRY: Final = f"registry.{GROUP}/adopt"
"""Annotation of a ContinualModel: the last log entry ``<number>:<digest>`` of a registry that a person gives to it."""
CHECKED_LOG_ENTRY: Final = f"registry.{GROUP}/checked"
"""Annotation of a ContinualModel: the log entry ``<number>:<digest>`` up to which a person checked the log."""
