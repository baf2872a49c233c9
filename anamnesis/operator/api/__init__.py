"""The custom resources of ``anamnesis.dev/v1alpha1``: their types, their validation, and reading them from files."""

from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.load_files import LoadedResource, ResourceSet, load_resources
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.site import Site

__all__ = ["ContinualModel", "LoadedResource", "ResourceSet", "Site", "UpdateApproval", "load_resources"]
