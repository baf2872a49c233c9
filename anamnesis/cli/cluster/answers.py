"""What the API server's refusals mean, in a sentence that says what to do."""

import json
import re

from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError, UnreachableError

KINDS = {f"{kind.lower()}s": kind for kind in ("ContinualModel", "Site", "ModelUpdate", "UpdateApproval")}
_FORBIDDEN = re.compile(r'User "(?P<who>[^"]*)" cannot (?P<verb>\w+) resource "(?P<what>[^"]*)"')


class MissingError(InputError):
    """There is no such object."""


def refusal(status: int, body: str, namespace: str) -> AnamnesisError:
    """Returns the error that an answer stands for.

    Args:
        status: the HTTP status.
        body: a ``Status`` as JSON, or other text.
        namespace: that was asked about.
    """
    message, details = _read(body)
    match status:
        case 401:
            return RefusedError("the API server does not know you: log in anew, or look at the user of your kubeconfig")
        case 403:
            return RefusedError(_forbidden(message, namespace))
        case 404 if details.get("name"):
            what = KINDS.get(details.get("kind", ""), details.get("kind", "object"))
            return MissingError(f"no {what} {details['name']} in namespace {namespace}; another one is named by -n")
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


def _read(body: str) -> tuple[str, dict[str, str]]:
    try:
        status = json.loads(body)
    except ValueError:
        return body, {}
    if not isinstance(status, dict):
        return body, {}
    return str(status.get("message") or body), status.get("details") or {}


def _forbidden(message: str, namespace: str) -> str:
    found = _FORBIDDEN.search(message)
    if found is None:
        return f"the API server refuses it: {message}"
    who, verb, what = found["who"], found["verb"], found["what"]
    return f"{who} may not {verb} {what} in namespace {namespace}: ask for a role that allows {verb} on {what}"
