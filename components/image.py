"""Builds components with the project's image; nothing is installed at run time."""

from collections.abc import Callable
from typing import Any

from kfp import dsl

from anamnesis import __version__

IMAGE = f"anamnesis-training:{__version__}"
"""Built from ``Containerfile``; ``anamnesis.pipelines.specialise`` replaces it by the image of a cluster."""


def component(function: Callable[..., Any]) -> Any:
    """Makes a lightweight Kubeflow component of ``function``, whose body contains its imports."""
    return dsl.component(function, base_image=IMAGE, install_kfp_package=False)
