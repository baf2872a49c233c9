"""The custom resources of ``anamnesis.dev/v1alpha1`` as types, and how they are read from files."""

from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.load_files import LoadedResource, ResourceSet, load_resources
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.site import Site

__all__ = ["ContinualModel", "LoadedResource", "ResourceSet", "Site", "UpdateApproval", "load_resources"]
