"""HTTP requests to a DICOM server: credentials, retries, and errors without response bodies or UIDs."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3 import Retry

from anamnesis.records import InputError, RefusedError, UnreachableError
from anamnesis.sources.base import CONNECTIONS
from anamnesis.storage.certificates import certificate_problem, certificate_remedy
from anamnesis.storage.environment_variables import read_variable
from anamnesis.storage.http_logs import mute_http_logs
from anamnesis.storage.proxies import find_proxy, without_login
from anamnesis.storage.store import MissingObjectError

PAGE_SIZE = 1000
_TIMEOUT = (10.0, 120.0)
_RETRIED_STATUSES = (429, 500, 502, 503, 504)
_REFUSED_PARAMETER_STATUSES = (400, 414, 422, 501)
_RETRY_POLICY = Retry(
    total=4,
    backoff_factor=0.2,
    status_forcelist=_RETRIED_STATUSES,
    allowed_methods=("GET",),
    raise_on_status=False,
    respect_retry_after_header=False,  # a server may ask for hours; the operator polls again anyway
)


class RefusedParameterError(InputError):
    """The server refuses the query: perhaps it lacks a parameter that the standard leaves to it."""


class TooManyResultsError(RefusedParameterError):
    """The query has more results than the server returns (status 413)."""


class DICOMServerClient:
    """The client of one DICOM server.

    Args:
        url: ``http(s)://host/path``, without user and password.
        environment: see ``open_source``.

    Raises:
        InputError: the URL or the environment is not as expected; the message names the part.
    """

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise InputError(
                "the URL of the DICOM server contains a user or a password; "
                "remove it, and set DICOM_USERNAME and DICOM_PASSWORD"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError(
                f"URL of the DICOM server: expected http(s)://host/path, found {without_login(url)!r}; "
                "correct the address"
            )
        mute_http_logs()
        self.url = url.rstrip("/")
        self._ca_bundle = _find_ca_bundle(environment)
        self._session = requests.Session()
        self._session.auth = _find_credentials(environment)
        self._session.trust_env = False  # proxies and authorities come from ``environment``, by the rules of all stores
        if proxy := find_proxy(parts, environment):
            self._session.proxies = {parts.scheme: proxy}
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=_RETRY_POLICY))

    def get_json(self, path: str, description: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Returns the decoded JSON of a response.

        Args:
            path: path below the URL.
            description: the requested data, in words for a message; never a UID.
            parameters: parameters of the query.

        Raises:
            InputError: the path does not exist, or the response is not JSON; ``RefusedParameterError`` where the
                server refuses the query.
            RefusedError: the server refuses the credentials.
            UnreachableError: the server is unreachable or out of order.
        """
        return self.get_json_and_headers(path, description, parameters)[0]

    def get_json_and_headers(
        self, path: str, description: str, parameters: Mapping[str, object] | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        """Returns what ``get_json`` returns, and the headers of the response."""
        response = self.get(path, description, "application/dicom+json, application/json", parameters)
        if response.status_code == HTTPStatus.NO_CONTENT:
            return [], response.headers
        try:
            return response.json(), response.headers
        except requests.JSONDecodeError:
            raise InputError(
                f"{self.url}: the response to the request for {description} is not JSON; "
                "check that the address is that of the DICOM service"
            ) from None

    def get(
        self, path: str, description: str, accept: str, parameters: Mapping[str, object] | None = None
    ) -> requests.Response:
        """Returns a response of status 2xx; raises the errors of ``get_json``."""
        try:
            response = self._session.get(
                f"{self.url}/{path}",
                # with the wildcards as they are: Orthanc 1.10 reads "%2A" as these three characters
                params=urlencode(parameters or {}, doseq=True, safe="*?", quote_via=quote),
                headers={"Accept": accept},
                timeout=_TIMEOUT,
                verify=self._ca_bundle,
            )
        except requests.exceptions.SSLError as error:
            problem = certificate_problem(error)
            remedy = certificate_remedy(
                problem, "set REQUESTS_CA_BUNDLE to a file with the certificate of its authority"
            )
            raise UnreachableError(
                f"{self.url}: the certificate of the server is not trusted: {problem}; {remedy}"
            ) from None
        except OSError as error:  # includes all errors of requests, and a missing file of authorities
            raise UnreachableError(
                f"{self.url}: the server is unreachable ({type(error).__name__}); "
                "check that it is up and that the network reaches it"
            ) from None
        self._check_status(response.status_code, description)
        return response

    def _check_status(self, status: int, description: str) -> None:
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise RefusedError(
                f"{self.url}: the request for {description} failed with status {status}: access denied; "
                "check user, password or token"
            )
        if status in _RETRIED_STATUSES or status == HTTPStatus.REQUEST_TIMEOUT:
            raise UnreachableError(
                f"{self.url}: the request for {description} failed with status {status}: the server is out of order; "
                "read the log of the server"
            )
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise MissingObjectError(
                f"{self.url}: the request for {description} failed with status {status}; check the address. If the "
                "address is right, the object was deleted on the server: run the ingest again"
            )
        message = f"{self.url}: the request for {description} failed with status {status}; check the address"
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise TooManyResultsError(
                f"{self.url}: the request for {description} failed with status {status}: too many results; "
                "raise the server's limit of results for each query"
            )
        if status in _REFUSED_PARAMETER_STATUSES:
            raise RefusedParameterError(message)
        raise InputError(message)


class _BearerAuth(AuthBase):
    """A bearer token as an object, because a ``.netrc`` file would override a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _find_ca_bundle(environment: Mapping[str, str]) -> str | bool:
    """Returns the file of trusted authorities according to the environment, or true for those of the HTTP client."""
    for name in ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        if path := read_variable(environment, name):
            if not Path(path).exists():
                raise InputError(f"{name}: the file {path!r} does not exist; mount it, or correct the variable")
            return path
    return True


def _find_credentials(environment: Mapping[str, str]) -> AuthBase | None:
    if token := read_variable(environment, "DICOM_TOKEN"):
        return _BearerAuth(token)
    if user := read_variable(environment, "DICOM_USERNAME"):
        return HTTPBasicAuth(user.encode(), read_variable(environment, "DICOM_PASSWORD").encode())
    return None
