"""A store in a bucket of any S3 server with conditional writes. It uses no extension of a particular server."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, SSLError

from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.storage.certificates import certificate_problem, certificate_remedy
from anamnesis.storage.environment_variables import read_variable
from anamnesis.storage.http_logs import mute_http_logs
from anamnesis.storage.proxies import find_proxy, proxy_login, without_login
from anamnesis.storage.s3_errors import ErrorReply, describe_error_reply, parse_error
from anamnesis.storage.store import MissingObjectError, ObjectInfo, check_key

T = TypeVar("T")

MAXIMUM_ATTEMPTS = 6
PAGE_SIZE = 1000
_PROBE_KEY = "probe"
_DEFAULT_REGION = "us-east-1"
_CONDITION = {"If-None-Match": "*"}


class _ReplyError(Exception):
    """The server did not execute a request."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def _find_ca_bundle(environment: Mapping[str, str]) -> str:
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := read_variable(environment, name):
            if not Path(path).is_file():
                raise InputError(f"{name}: the file {path!r} does not exist; mount it, or correct the variable")
            return path
    return certifi.where()


def _connection_pool(proxy: str, ca_bundle: str) -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=10, read=60)
    if proxy:
        login = proxy_login(proxy)
        return urllib3.ProxyManager(
            without_login(proxy),
            proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
            maxsize=10,
            retries=False,
            timeout=timeout,
            ca_certs=ca_bundle,
        )
    return urllib3.PoolManager(maxsize=10, retries=False, timeout=timeout, ca_certs=ca_bundle)


def _find_endpoint(environment: Mapping[str, str]) -> SplitResult:
    endpoint = urlsplit(read_variable(environment, "AWS_ENDPOINT_URL") or "https://s3.amazonaws.com")
    if endpoint.username or endpoint.password:
        raise InputError(
            "AWS_ENDPOINT_URL: the address contains a user or a password; remove it, and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if endpoint.scheme not in ("http", "https") or not endpoint.netloc or endpoint.path.strip("/"):
        raise InputError(
            f"AWS_ENDPOINT_URL: expected http(s)://host:port, found {without_login(endpoint.geturl())!r}; "
            "correct the variable"
        )
    return endpoint


def _find_region(environment: Mapping[str, str]) -> str:
    """Returns the region for signatures; of the two variables the SDKs of AWS read ``AWS_REGION`` first."""
    names = ("AWS_REGION", "AWS_DEFAULT_REGION")
    return next(filter(None, (read_variable(environment, name) for name in names)), _DEFAULT_REGION)


class S3Store:
    """A store with one object of the bucket for each object, below a prefix.

    Requests are sent again after a lost reply (a broken connection, a status of 5xx) and after a conflict (409). Every
    request can be repeated safely. After a conditional write the stored bytes show which writer was first. Each write
    has a checksum, without which a bucket with Object Lock refuses it.

    Args:
        client: client of the server.
        http: sends the conditional writes, which the client does not support.
        bucket: name of an existing bucket.
        prefix: prefix of every key, without a slash at its end; may be empty.
        region: of the bucket, for signatures.
        sleep: waits for a number of seconds between attempts.
    """

    def __init__(
        self,
        client: Minio,
        http: urllib3.PoolManager,
        bucket: str,
        prefix: str,
        *,
        region: str,
        sleep: Callable[[float], None],
    ) -> None:
        self._client, self._http, self._region, self._sleep = client, http, region, sleep
        self.bucket, self.prefix = bucket, f"{prefix}/" if prefix else ""
        self._conditional_writes_checked = False

    @classmethod
    def from_environment(
        cls, url: str, environment: Mapping[str, str], sleep: Callable[[float], None] = time.sleep
    ) -> "S3Store":
        """Opens ``s3://bucket/prefix`` with the credentials of ``environment``; see ``open_store``."""
        mute_http_logs()
        bucket, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        if "@" in bucket:
            raise InputError(
                "the URL of the bucket contains a user or a password; remove it, and set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
        if prefix:
            check_key(prefix)
        endpoint = _find_endpoint(environment)
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        access_key, secret_key, session_token = (read_variable(environment, name) for name in names)
        for name, value in zip(names[:2], (access_key, secret_key), strict=True):
            if not value:
                raise InputError(
                    f"{url}: the environment variable {name} is not set; set it to the credentials of the bucket"
                )
        region = _find_region(environment)
        http = _connection_pool(find_proxy(endpoint, environment), _find_ca_bundle(environment))
        try:
            client = Minio(
                endpoint.netloc,
                access_key=access_key,
                secret_key=secret_key,
                session_token=session_token or None,
                secure=endpoint.scheme == "https",
                region=region,
                http_client=http,
            )
            client.get_presigned_url("GET", bucket, "name")  # sends no request; checks the form of the names
        except ValueError as error:
            raise InputError(f"{url}: {error}") from error
        return cls(client=client, http=http, bucket=bucket, prefix=prefix, region=region, sleep=sleep)

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def get(self, key: str) -> bytes:
        """See ``Store.get``."""
        name = self._object_name(key)

        def read() -> bytes:
            response = self._client.get_object(self.bucket, name)
            try:
                return response.read()
            finally:
                response.release_conn()

        return self._with_retries(key, read)

    def put(self, key: str, data: bytes) -> None:
        """See ``Store.put``. The limit is 5 GiB, the limit of S3 for one request."""
        name = self._object_name(key)
        self._with_retries(key, lambda: self._upload(name, data, {}))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``Store.put_if_absent``.

        Raises:
            RefusedError: the server does not support conditional writes.
        """
        name = self._object_name(key)
        self.check_conditional_writes()
        if self._with_retries(key, lambda: self._upload(name, data, _CONDITION), is_conditional=True):
            return True
        return self.get(key) == data

    def exists(self, key: str) -> bool:
        """See ``Store.exists``."""
        name = self._object_name(key)
        try:
            self._with_retries(key, lambda: self._client.stat_object(self.bucket, name))
        except MissingObjectError:
            return False
        return True

    def list(self, prefix: str = "", after: str = "") -> Iterator[ObjectInfo]:
        """See ``Store.list``."""
        page_is_full = True
        while page_is_full:
            page = self._list_page(prefix, after)
            yield from (info for info in page if not info.key.endswith("/"))  # consoles mark empty folders so
            page_is_full = len(page) == PAGE_SIZE
            after = page[-1].key if page else after

    def delete(self, key: str) -> bool:
        """See ``Store.delete``. A bucket with versions hides the object behind a marker, and keeps its bytes."""
        name = self._object_name(key)
        reply = self._with_retries(key, lambda: self._send("DELETE", name))
        return reply.headers.get("x-amz-delete-marker") != "true"

    def list_unfinished_writes(self) -> Iterator[ObjectInfo]:
        """See ``Store.list_unfinished_writes``: none, because S3 shows an object only when it is complete."""
        return iter(())

    def check_conditional_writes(self) -> None:
        """See ``Store.check_conditional_writes``: writes the object ``probe`` twice; the second write must fail."""
        if self._conditional_writes_checked:
            return
        name = self._object_name(_PROBE_KEY)

        def write() -> bool:
            return self._with_retries(_PROBE_KEY, lambda: self._upload(name, b"probe", _CONDITION), is_conditional=True)

        write()
        if write():
            raise RefusedError(
                f"{self.url}: the server ignores If-None-Match, so two writers could overwrite each other; "
                "choose an S3 server with conditional writes, or a folder"
            )
        self._conditional_writes_checked = True

    def _object_name(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _upload(self, name: str, data: bytes, headers: Mapping[str, str]) -> bool:
        """Sends one object; returns false when the condition in ``headers`` does not hold."""
        checksum = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        reply = self._send("PUT", name, data, {**headers, "Content-MD5": checksum})
        return reply.status != HTTPStatus.PRECONDITION_FAILED

    def _send(
        self, method: str, name: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> BaseHTTPResponse:
        """Sends a request that the client does not support; returns the reply, also that a condition does not hold.

        Raises:
            _ReplyError: the server did not execute it.
        """
        url = self._client.get_presigned_url(method, self.bucket, name, expires=timedelta(hours=1))
        reply = self._http.urlopen(method, url, body=data, headers=dict(headers or {}))
        if reply.status >= HTTPStatus.MULTIPLE_CHOICES and reply.status != HTTPStatus.PRECONDITION_FAILED:
            raise _ReplyError(parse_error(reply.status, reply.headers, reply.data, (name,)))
        return reply

    def _list_page(self, prefix: str, after: str) -> tuple[ObjectInfo, ...]:
        start, prefix_length = (self.prefix + after if after else None), len(self.prefix)

        def read() -> tuple[ObjectInfo, ...]:
            objects = self._client.list_objects(self.bucket, self.prefix + prefix, recursive=True, start_after=start)
            return tuple(
                ObjectInfo(
                    key=(item.object_name or "")[prefix_length:],
                    etag=item.etag or "",
                    size=item.size or 0,
                    modified=item.last_modified.timestamp() if item.last_modified else 0.0,
                )
                for item in islice(objects, PAGE_SIZE)
            )

        return self._with_retries(prefix, read)

    def _with_retries(self, key: str, action: Callable[[], T], is_conditional: bool = False) -> T:
        """Returns the result of ``action``; calls it again after errors of the server or the network."""
        location = f"{self.url}/{key}"
        for attempt in range(MAXIMUM_ATTEMPTS):
            if attempt:
                self._sleep(0.05 * 2**attempt)
            try:
                return action()
            except (HTTPError, MinioException, _ReplyError) as error:
                if isinstance(getattr(error, "reason", error), SSLError):
                    raise self._untrusted_connection_error(error) from error
                reply = _error_reply(error)
                if reply and not reply.is_transient:
                    raise describe_error_reply(
                        reply,
                        location,
                        self.bucket,
                        region=self._region,
                        now=time.time(),
                        is_conditional=is_conditional,
                    ) from error
                problem, cause = str(reply or error), error
        raise UnreachableError(
            f"{location}: the request failed {MAXIMUM_ATTEMPTS} times, last with: {problem}; "
            "check that the server is up and the network reaches it"
        ) from cause

    def _untrusted_connection_error(self, error: Exception) -> AnamnesisError:
        server = urlsplit(self._client.get_presigned_url("GET", self.bucket, "name")).netloc
        problem = certificate_problem(error)
        return UnreachableError(
            f"{self.url}: the certificate of {server} is not trusted: {problem}; "
            + certificate_remedy(problem, "set AWS_CA_BUNDLE to a file with the certificate of its authority")
        )


def _error_reply(error: HTTPError | MinioException | _ReplyError) -> ErrorReply | None:
    """Returns the server's reply; none when there was none, or not a whole one."""
    if isinstance(error, _ReplyError):
        return error.reply
    if isinstance(error, S3Error):
        reply = error.response
        parsed = parse_error(reply.status, reply.headers, reply.data, (error.object_name or "",))
        return parsed if parsed.code else replace(parsed, code=error.code or "")
    if isinstance(error, ServerError):
        return ErrorReply(error.status_code)
    if isinstance(error, InvalidResponseError):  # its fields are private, but no others have the status and the page
        body = (error._body or "").encode()
        return parse_error(error._code, {"content-type": error._content_type or ""}, body)
    return None
