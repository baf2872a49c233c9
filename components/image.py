"""How every component is made: the project's image, and nothing installed at run time."""

from collections.abc import Callable
from typing import Any

from kfp import dsl

from anamnesis import __version__

IMAGE = f"anamnesis-training:{__version__}"
"""Built by ``Containerfile``; ``anamnesis.pipelines.specialise`` puts a cluster's own in its place."""


def component(function: Callable[..., Any]) -> Any:
    """Makes a lightweight Kubeflow component of ``function``, whose body must import what it needs."""
    return dsl.component(function, base_image=IMAGE, install_kfp_package=False)
