"""Errors of the API server, as sentences that say what to do."""

import json
import re

from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError, UnreachableError

KIND_BY_PLURAL = {f"{kind.lower()}s": kind for kind in ("ContinualModel", "Site", "ModelUpdate", "UpdateApproval")}
_FORBIDDEN_PATTERN = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"')


class ResourceNotFoundError(InputError):
    """The object does not exist."""


def error_for_response(status: int, body: str, namespace: str) -> AnamnesisError:
    """Returns the error for a response.

    Args:
        status: the HTTP status.
        body: a ``Status`` as JSON, or other text.
        namespace: namespace of the request.
    """
    message, details = _parse_status(body)
    match status:
        case 401:
            return RefusedError(
                "the API server does not accept your credentials: log in again, or check the user in your kubeconfig"
            )
        case 403:
            return RefusedError(_forbidden_message(message, namespace))
        case 404 if details.get("name"):
            kind = KIND_BY_PLURAL.get(details.get("kind", ""), details.get("kind", "object"))
            return ResourceNotFoundError(
                f"no {kind} {details['name']} in namespace {namespace}; check the name, or use -n for another namespace"
            )
        case 404:
            return InputError(
                "this cluster does not serve anamnesis.dev/v1alpha1; install the resource definitions: "
                "kubectl apply --server-side -f manifests/crds"
            )
        case 409:
            return ConflictError(f"the object changed in the meantime; run the command again: {message}")
        case 400 | 422:
            return InputError(
                f"the API server rejected the request: {message}; correct the value, then run the command again"
            )
        case _:
            return UnreachableError(
                f"the API server returned HTTP {status}: {message[:200]}; run the command again later"
            )


def _parse_status(body: str) -> tuple[str, dict[str, str]]:
    try:
        status = json.loads(body)
    except ValueError:
        return body, {}
    if not isinstance(status, dict):
        return body, {}
    return str(status.get("message") or body), status.get("details") or {}


def _forbidden_message(message: str, namespace: str) -> str:
    match = _FORBIDDEN_PATTERN.search(message)
    if match is None:
        return f"the API server rejected the request: {message}; ask an administrator of the cluster"
    user, verb, resource = match["user"], match["verb"], match["resource"]
    return f"{user} may not {verb} {resource} in namespace {namespace}: ask for a role that allows {verb} on {resource}"
