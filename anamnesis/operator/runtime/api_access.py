"""Where the API server is, and our credentials: of the pod's service account, or from a kubeconfig.

The official client reads what this does not (commands and plugins that fetch tokens, several kubeconfigs). It is loaded
only then: its generated classes take 47 MiB and a second to load.
"""

import base64
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

from anamnesis.records import InputError

_POD_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_SECONDS = 60.0
"""How long a token is used before its file is read again: Kubernetes replaces it."""
_OWN_USER_FIELDS = {
    "token",
    "tokenFile",
    "client-certificate",
    "client-certificate-data",
    "client-key",
    "client-key-data",
}


class AccessError(Exception):
    """There is no access; the text says why."""


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """The API server, and credentials.

    Attributes:
        server: its address.
        authority: certificates of the authority that signed its certificate, as PEM; empty for those of the system.
        certificate: our certificate and its key, as PEM; empty for none.
        is_verified: whether the server must prove who it is.
        server_name: the name in its certificate, where it is not the host of ``server``.
        proxy: address of a proxy; empty for none.
        read_authorization: returns the value of the header ``Authorization``, or empty.
    """

    server: str
    authority: str = ""
    certificate: str = field(default="", repr=False)
    is_verified: bool = True
    server_name: str = ""
    proxy: str = ""
    read_authorization: Callable[[], str] = lambda: ""

    def tls_context(self) -> ssl.SSLContext:
        """Returns what a TLS connection to the server needs."""
        context = ssl.create_default_context(cadata=self.authority or None)
        if not self.is_verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.certificate:
            with NamedTemporaryFile("w", suffix=".pem") as file:  # readable for this user only
                file.write(self.certificate)
                file.flush()
                context.load_cert_chain(file.name)
        return context


def load_access(environment: Mapping[str, str], kubeconfig: str = "", context: str = "") -> ApiAccess:
    """Returns the access from a kubeconfig, or of the pod's service account.

    Args:
        environment: its ``KUBECONFIG`` names the file where ``kubeconfig`` is empty.
        kubeconfig: path of a kubeconfig; it has precedence.
        context: name of a context in the kubeconfig; empty for the current context.

    Raises:
        InputError: no kubeconfig exists outside a pod, or it is unreadable.
    """
    file = kubeconfig or environment.get("KUBECONFIG", "")
    try:
        if not file and "KUBERNETES_SERVICE_HOST" in environment:
            return _pod_access(environment)
        return _kubeconfig_access(file or str(Path("~/.kube/config").expanduser()), context)
    except (AccessError, yaml.YAMLError, OSError, TypeError, ValueError, AttributeError, LookupError) as error:
        source = file or "neither a pod's service account nor ~/.kube/config"
        reason = f"no {error}" if isinstance(error, LookupError) else " ".join(str(error).split())
        raise InputError(f"no access to an API server ({source}): {reason}; set --kubeconfig or KUBECONFIG") from None


def _pod_access(environment: Mapping[str, str]) -> ApiAccess:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    authority = (_POD_FOLDER / "ca.crt").read_text(encoding="ascii")
    return ApiAccess(server, authority, read_authorization=_TokenFile(_POD_FOLDER / "token").read)


class _TokenFile:
    """A file with a token, which is read again after a minute."""

    def __init__(self, file: Path) -> None:
        self._file, self._header, self._read_at = file, "", float("-inf")
        self.read()

    def read(self) -> str:
        """Returns the header with the token."""
        if time.monotonic() - self._read_at > _TOKEN_SECONDS:
            token = self._file.read_text(encoding="utf-8").strip()
            if not token:
                raise AccessError(f"{self._file} is empty")
            self._header, self._read_at = f"Bearer {token}", time.monotonic()
        return self._header


def _kubeconfig_access(file: str, context_name: str) -> ApiAccess:
    if os.pathsep in file:
        return _library_access(file, context_name)
    path = Path(file).expanduser()
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise AccessError("it is not a kubeconfig")
    context = _find_entry(document, "context", context_name or document.get("current-context", ""))
    cluster = _find_entry(document, "cluster", context["cluster"])
    user = _find_entry(document, "user", context["user"]) if context.get("user") else {}
    if set(user) - _OWN_USER_FIELDS:
        return _library_access(file, context_name)
    certificate = _read_pem(user, "client-certificate", path.parent)
    return ApiAccess(
        server=cluster["server"],
        authority=_read_pem(cluster, "certificate-authority", path.parent),
        certificate=certificate and f"{certificate}\n{_read_pem(user, 'client-key', path.parent)}",
        is_verified=not cluster.get("insecure-skip-tls-verify", False),
        server_name=cluster.get("tls-server-name", ""),
        proxy=cluster.get("proxy-url", ""),  # never that of the environment, which is for buckets and DICOM servers
        read_authorization=_authorization_of(user, path.parent),
    )


def _find_entry(document: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    for entry in document.get(f"{kind}s") or ():
        if entry["name"] == name:
            content: Mapping[str, Any] = entry[kind] or {}
            return content
    raise AccessError(f"it has no {kind} {name!r}")


def _read_pem(entry: Mapping[str, Any], name: str, folder: Path) -> str:
    """The text of a certificate or key: in the kubeconfig, or in a file whose path may be relative to it."""
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data).decode("ascii")
    return (folder / entry[name]).read_text(encoding="ascii") if entry.get(name) else ""


def _authorization_of(user: Mapping[str, Any], folder: Path) -> Callable[[], str]:
    if file := user.get("tokenFile"):
        return _TokenFile(folder / file).read
    header = f"Bearer {user['token']}" if user.get("token") else ""
    return lambda: header


def _library_access(file: str, context: str) -> ApiAccess:
    """Lets the official client read a kubeconfig; it also fetches the tokens again when they expire."""
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException, load_kube_config

    settings = Configuration()
    try:
        load_kube_config(file, context or None, settings, persist_config=False)
    except ConfigException as error:
        raise AccessError(str(error)) from None
    certificate = "\n".join(Path(name).read_text("ascii") for name in (settings.cert_file, settings.key_file) if name)
    return ApiAccess(
        server=settings.host,
        authority=Path(settings.ssl_ca_cert).read_text("ascii") if settings.ssl_ca_cert else "",
        certificate=certificate,
        is_verified=settings.verify_ssl,
        server_name=settings.tls_server_name or "",
        proxy=settings.proxy or "",
        read_authorization=lambda: settings.get_api_key_with_prefix("authorization") or "",
    )
