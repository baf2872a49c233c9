"""What of a resource may leave the cluster: what is known to be harmless, by list, and never the rest."""

import re
from collections.abc import Mapping

Document = dict[str, object]

METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "ownerReferences",
)
OWN = re.compile(r"(^|\.|/)anamnesis\.dev/|^app\.kubernetes\.io/")
"""Annotations and labels of ours; others' may hold anything, such as the whole resource as it was last applied."""
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<login>[^\s\"']*@)?(?P<rest>[^\s?\"'\\]*)(?P<query>\?[^\s\"'\\]*)?"
)
"""A login goes to the last @, since people put passwords with / and @ into URLs: rather too much than too little."""


def resource(document: Mapping[str, object]) -> Document:
    """Returns a custom resource without others' annotations and labels, without logins, without people's words."""
    kept = {key: document[key] for key in ("apiVersion", "kind", "spec", "status") if key in document}
    metadata = document["metadata"]
    assert isinstance(metadata, Mapping)
    cleaned: Document = {key: metadata[key] for key in METADATA if key in metadata}
    for field in ("labels", "annotations"):
        own = {key: value for key, value in (metadata.get(field) or {}).items() if OWN.search(key)}
        cleaned |= {field: own} if own else {}
    return {"metadata": cleaned} | {key: without_logins(value) for key, value in without_reason(kept).items()}


def without_reason(document: Document) -> Document:
    """Returns an approval without the sentence that a person wrote: nobody knows what is in it."""
    spec = document.get("spec")
    if document.get("kind") != "UpdateApproval" or not isinstance(spec, dict):
        return document
    return document | {"spec": {**spec, "reason": f"(left out: {len(str(spec.get('reason', '')))} characters)"}}


def without_logins(value: object) -> object:
    """Returns a value without the user, password and query of every URL in it."""
    if isinstance(value, str):
        return _URL.sub(_plain_url, value)
    if isinstance(value, Mapping):
        return {key: without_logins(inner) for key, inner in value.items()}
    return [without_logins(inner) for inner in value] if isinstance(value, list) else value


def _plain_url(found: re.Match[str]) -> str:
    login, query = "***@" if found["login"] else "", "?***" if found["query"] else ""
    return f"{found['scheme']}{login}{found['rest']}{query}"
