"""Says what a person does about a Site of a model that does not exist, or has another name now. Pure."""

from collections.abc import Iterable, Mapping

from anamnesis.operator.addresses import store_url
from anamnesis.operator.api import LoadedResource, Site
from anamnesis.operator.api.update import ModelUpdate


def describe_missing_site(
    name: str, *, is_learned: bool, updates: Iterable[ModelUpdate], sites: Mapping[str, LoadedResource[Site]]
) -> str:
    """Returns a sentence about a Site that a model names and that does not exist.

    Args:
        name: of the Site.
        is_learned: whether the champion was trained on it.
        updates: of the model; they know the store that the Site had.
        sites: all Sites of the namespace.
    """
    stores = _former_stores(name, updates)
    new_name = next((other for other, site in sites.items() if store_url(site) in stores), "")
    if new_name:
        return (
            f"there is no Site {name!r} in this namespace, and Site {new_name} has the same store: was it renamed? "
            f"Test sets and versions know a Site by its name: create it again as {name} with this store, then remove "
            f"{new_name}"
        )
    if is_learned:
        return (
            f"there is no valid Site {name!r} in this namespace, and the champion was trained on it: apply it again "
            "with this name and its store, because test sets and versions know a Site by its name; or remove it from "
            "spec.sites, and the gate no longer measures what an update forgets of it"
        )
    return f"there is no valid Site {name!r} in this namespace; create it, or remove it from spec.sites"


def _former_stores(name: str, updates: Iterable[ModelUpdate]) -> set[str]:
    """The stores that updates knew for a Site: of the site that they learned, and of those learned before."""
    stores = set()
    for update in updates:
        request = update.spec.request
        stores |= {request.store} if request.site.name == name else set()
        stores |= {site.store for site in request.sites if site.name == name}
    return stores
