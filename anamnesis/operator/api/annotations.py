"""Annotations, labels and finalizers that the operator reads or writes."""

from typing import Final

GROUP: Final = "anamnesis.dev"
LABEL_PREFIX: Final = f"{GROUP}/"
"""Prefix of the labels ``model`` and ``site`` of a ModelUpdate."""
RUNS_FINALIZER: Final = f"{GROUP}/runs"
"""On a ContinualModel while its runs or claims exist: the cluster's garbage collection does not reach them."""
UPDATE_REQUEST_PREFIX: Final = f"update.{GROUP}/"
"""With a site's name: annotation of a ContinualModel; a higher number requests an update of that site."""
LOST_LOG_HEAD: Final = f"registry.{GROUP}/lost"
"""Annotation of a ContinualModel: the head of its registry's log that a person knows to be lost, as after a restore."""
