"""What the API server's refusals mean, in a sentence that says what to do."""

import json
import re

from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError, UnreachableError

KIND_BY_PLURAL = {f"{kind.lower()}s": kind for kind in ("ContinualModel", "Site", "ModelUpdate", "UpdateApproval")}
_FORBIDDEN_PATTERN = re.compile(r'User "(?P<who>[^"]*)" cannot (?P<verb>\w+) resource "(?P<what>[^"]*)"')


class ResourceNotFoundError(InputError):
    """There is no such object."""


def error_for_response(status: int, body: str, namespace: str) -> AnamnesisError:
    """Returns the error that an answer stands for.

    Args:
        status: the HTTP status.
        body: a ``Status`` as JSON, or other text.
        namespace: that was asked about.
    """
    message, details = _parse_status(body)
    match status:
        case 401:
            return RefusedError("the API server does not know you: log in anew, or look at the user of your kubeconfig")
        case 403:
            return RefusedError(_forbidden_message(message, namespace))
        case 404 if details.get("name"):
            kind = KIND_BY_PLURAL.get(details.get("kind", ""), details.get("kind", "object"))
            return ResourceNotFoundError(
                f"no {kind} {details['name']} in namespace {namespace}; another one is named by -n"
            )
        case 404:
            return InputError(
                "this cluster does not serve anamnesis.dev/v1alpha1: kubectl apply --server-side -f manifests/crds"
            )
        case 409:
            return ConflictError(f"somebody changed it at this moment; the same command tries again: {message}")
        case 400 | 422:
            return InputError(f"the API server refuses it: {message}")
        case _:
            return UnreachableError(f"the API server answers {status}: {message[:200]}")


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
        return f"the API server refuses it: {message}"
    user, verb, resource = match["who"], match["verb"], match["what"]
    return f"{user} may not {verb} {resource} in namespace {namespace}: ask for a role that allows {verb} on {resource}"
