"""The file that ``spec.network.weights`` names, after the registry has its tensors."""

from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.requests import located_configuration
from anamnesis.records import AnamnesisError, digest_bytes
from anamnesis.registry import list_versions
from anamnesis.storage import Store
from anamnesis.storage.store import read_file


def describe_changed_weights(model: LoadedResource[ContinualModel], registry: Store) -> str:
    """Returns that the file of the weights is another one than the model started from; else empty.

    No update opens the file again, so nothing else shows it. The file may be gone. One in a bucket is not downloaded.
    """
    weights = located_configuration(model).network.weights
    if weights is None or weights.url.startswith("s3://") or not list_versions(registry):
        return ""
    try:
        digest = digest_bytes(read_file(weights.url))
    except AnamnesisError:  # the registry has what the file had
        return ""
    if digest == weights.sha256:
        return ""
    return (
        f"spec.network.weights: the digest of {weights.url} is {digest}, but sha256 is {weights.sha256}: the file was "
        "changed and is not used, because the registry has the tensors that the model started from; restore the file, "
        "or create a new ContinualModel with an empty registry for the new weights"
    )
