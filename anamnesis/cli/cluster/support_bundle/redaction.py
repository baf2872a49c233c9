"""Removes everything from a resource that is not on a list of harmless fields, before it leaves the cluster."""

import re
from collections.abc import Mapping

Document = dict[str, object]

METADATA_FIELDS = (
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
ANAMNESIS_KEY = re.compile(r"(^|\.|/)anamnesis\.dev/|^app\.kubernetes\.io/")
"""Our own annotations and labels; those of other tools may hold anything, for example the last applied resource."""
_URL_PATTERN = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<login>[^\s\"']*@)?(?P<rest>[^\s?\"'\\]*)(?P<query>\?[^\s\"'\\]*)?"
)
"""A login ends at the last @: passwords in URLs may hold / and @, and removing too much is safe."""


def redact_resource(document: Mapping[str, object]) -> Document:
    """Returns a custom resource without annotations and labels of other tools, logins and reasons of people."""
    fields = {key: document[key] for key in ("apiVersion", "kind", "spec", "status") if key in document}
    metadata = document["metadata"]
    assert isinstance(metadata, Mapping)
    redacted_metadata: Document = {key: metadata[key] for key in METADATA_FIELDS if key in metadata}
    for field in ("labels", "annotations"):
        anamnesis_entries = {
            key: value for key, value in (metadata.get(field) or {}).items() if ANAMNESIS_KEY.search(key)
        }
        redacted_metadata |= {field: anamnesis_entries} if anamnesis_entries else {}
    return {"metadata": redacted_metadata} | {key: remove_logins(value) for key, value in remove_reason(fields).items()}


def remove_reason(document: Document) -> Document:
    """Returns an approval without the reason, which is free text and may name a patient."""
    spec = document.get("spec")
    if document.get("kind") != "UpdateApproval" or not isinstance(spec, dict):
        return document
    return document | {"spec": {**spec, "reason": f"(removed: {len(str(spec.get('reason', '')))} characters)"}}


def remove_logins(value: object) -> object:
    """Returns a value without the user, password and query of every URL in it."""
    if isinstance(value, str):
        return _URL_PATTERN.sub(_redact_url, value)
    if isinstance(value, Mapping):
        return {key: remove_logins(item) for key, item in value.items()}
    return [remove_logins(item) for item in value] if isinstance(value, list) else value


def _redact_url(match: re.Match[str]) -> str:
    login, query = "***@" if match["login"] else "", "?***" if match["query"] else ""
    return f"{match['scheme']}{login}{match['rest']}{query}"
