"""HTTP to a DICOM server: credentials, patience, and errors that quote neither an answer nor a UID."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3 import Retry

from anamnesis.records import InputError, RefusedError, UnreachableError
from anamnesis.sources.base import CONNECTIONS
from anamnesis.storage.store import MissingObjectError

PAGE_SIZE = 1000
_TIMEOUT = (10.0, 120.0)
_RETRIED_STATUSES = (429, 500, 502, 503, 504)
_RETRY_POLICY = Retry(
    total=4,
    backoff_factor=0.2,
    status_forcelist=_RETRIED_STATUSES,
    allowed_methods=("GET",),
    raise_on_status=False,
    respect_retry_after_header=False,  # a server may ask for hours; who polls comes back by itself
)


class DICOMServerClient:
    """One DICOM server.

    Args:
        url: ``http(s)://host/path``, without user and password.
        environment: see ``open_source``.

    Raises:
        InputError: the URL is not as expected.
    """

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise InputError("a DICOM server's URL holds user or password; give DICOM_USERNAME and DICOM_PASSWORD")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError(f"DICOM server {url!r}: expected http(s)://host/path")
        self.url = url.rstrip("/")
        self._ca_bundle = _find_ca_bundle(environment)
        self._session = requests.Session()
        self._session.auth = _find_credentials(environment)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=_RETRY_POLICY))

    def get_json(self, path: str, description: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Returns a decoded answer.

        Args:
            path: below the URL.
            description: is asked for, in words for a message; never a UID.
            parameters: of the query.

        Raises:
            InputError: the server does not know the path, or does not answer with JSON.
            RefusedError: it wants other credentials.
            UnreachableError: it does not answer, or is not well.
        """
        response = self.get(path, description, "application/dicom+json, application/json", parameters)
        if response.status_code == HTTPStatus.NO_CONTENT:
            return []
        try:
            return response.json()
        except requests.JSONDecodeError:
            raise InputError(
                f"{self.url}: asked for {description}, it does not answer with JSON; check the address"
            ) from None

    def get(
        self, path: str, description: str, accept: str, parameters: Mapping[str, object] | None = None
    ) -> requests.Response:
        """Returns an answer of status 2xx; raises as ``json`` does."""
        try:
            response = self._session.get(
                f"{self.url}/{path}",
                params=parameters,  # type: ignore[arg-type]
                headers={"Accept": accept},
                timeout=_TIMEOUT,
                verify=self._ca_bundle,
            )
        except requests.exceptions.SSLError:
            raise UnreachableError(
                f"{self.url}: its certificate is not trusted; name its authority by REQUESTS_CA_BUNDLE"
            ) from None
        except OSError as error:  # every error of requests is one, and so is a bundle that is not there
            raise UnreachableError(f"{self.url}: no answer ({type(error).__name__})") from None
        self._check_status(response.status_code, description)
        return response

    def _check_status(self, status: int, description: str) -> None:
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise RefusedError(
                f"{self.url}: asked for {description}, it refuses ({status}); check user, password or token"
            )
        if status in _RETRIED_STATUSES or status == HTTPStatus.REQUEST_TIMEOUT:
            raise UnreachableError(f"{self.url}: asked for {description}, it answers {status}")
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise MissingObjectError(
                f"{self.url}: asked for {description}, it answers {status}: gone meanwhile, or a wrong address"
            )
        raise InputError(f"{self.url}: asked for {description}, it answers {status}; check the address")


class _BearerAuth(AuthBase):
    """A bearer token, as an object, because a plain header would give way to a ``.netrc``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _find_ca_bundle(environment: Mapping[str, str]) -> str | bool:
    """The file of trusted authorities that the environment names, or those that come with the HTTP client."""
    for name in ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        if path := environment.get(name):
            if not Path(path).exists():
                raise InputError(f"{name}: there is no file {path!r}")
            return path
    return True


def _find_credentials(environment: Mapping[str, str]) -> AuthBase | None:
    if token := environment.get("DICOM_TOKEN"):
        return _BearerAuth(token)
    if user := environment.get("DICOM_USERNAME"):
        return HTTPBasicAuth(user.encode(), environment.get("DICOM_PASSWORD", "").encode())
    return None
