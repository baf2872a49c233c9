"""What an S3 server's error means: the server's own words, and what to do. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from html import unescape
from http import HTTPStatus

from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.storage.store import MissingBucketError, MissingObjectError

_TRANSIENT_STATUSES = (0, 408, 409, 429, 500, 502, 503, 504)  # 0: there was no reply
_TRANSIENT_CODES = ("BadDigest", "IncompleteBody", "RequestTimeout")
"""Codes with the status 400 for a request that was damaged or cut on its way."""
MAXIMUM_CLOCK_DIFFERENCE = timedelta(minutes=15)
"""S3 refuses signatures whose time differs by more."""
_SHOWN_CHARACTERS = 200
_LONG_WORD = re.compile(r"[^\s'\"=]{40,}")
"""Signatures, tokens and paths; no word of a server's sentence is that long."""
_RIGHTS = "s3:GetObject, s3:PutObject and s3:ListBucket, and s3:DeleteObject to delete what is no longer needed"


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """A server's reply to a request that it did not execute.

    Attributes:
        status: HTTP status.
        code: S3 code, for example ``AccessDenied``; empty when the reply has none.
        message: the server's sentence for a person, one line of at most 200 characters; may be empty.
        region: of the bucket, as the server names it; may be empty.
        time: of the server, in seconds since 1970; none when the reply has no date.
        is_web_page: whether the reply is an HTML page, which no S3 server sends.
    """

    status: int
    code: str = ""
    message: str = ""
    region: str = ""
    time: float | None = None
    is_web_page: bool = False

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return self.code in _TRANSIENT_CODES or (self.status in _TRANSIENT_STATUSES and self.code not in _EXPLANATIONS)

    def __str__(self) -> str:
        name = " ".join(filter(None, (f"status {self.status}", self.code)))
        return f"{name}: {self.message}" if self.message else name


def parse_error(status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...] = ()) -> ErrorReply:
    """Reads a reply.

    Args:
        status: HTTP status.
        headers: of the reply; names in any case.
        body: of the reply; empty for HEAD.
        secrets: texts that the message must not have: credentials, and the name of the object.
    """
    lower_headers = {name.lower(): value for name, value in headers.items()}
    text = body[:65536].decode(errors="replace")
    return ErrorReply(
        status=status,
        code=_clean(_element(text, "Code") or lower_headers.get("x-minio-error-code", ""), secrets),
        message=_clean(_element(text, "Message"), secrets),
        region=_clean(_element(text, "Region") or lower_headers.get("x-amz-bucket-region", ""), secrets),
        time=_parse_date(lower_headers.get("date", "")),
        is_web_page=bool(body) and "html" in lower_headers.get("content-type", ""),
    )


def describe_error_reply(
    reply: ErrorReply, location: str, bucket: str, *, region: str, now: float, is_conditional: bool
) -> AnamnesisError:
    """Returns the error for a person.

    Args:
        reply: of the server.
        location: URL of the object or the listing.
        bucket: its bucket.
        region: with which the request was signed.
        now: the time here, in seconds since 1970.
        is_conditional: whether the request was a conditional write.
    """
    if reply.code == "NoSuchBucket":
        return MissingBucketError(f"{location}: the bucket {bucket!r} does not exist; create it first")
    if reply.status == HTTPStatus.NOT_FOUND and not reply.is_web_page:
        return MissingObjectError(
            f"{location}: the object does not exist; correct the address, or restore the object from a backup"
        )
    if clock_error := _describe_clocks(reply, location, now):
        return clock_error
    if _is_wrong_region(reply, region):
        return InputError(
            f"{location}: the request was signed for the region {region}, but the bucket is in {reply.region}; "
            f"set AWS_REGION={reply.region} beside the credentials"
        )
    if reply.is_web_page and not reply.code:
        return RefusedError(
            f"{location}: a web page with the status {reply.status} came back, so a proxy or a web server answered "
            "instead of the S3 server; correct AWS_ENDPOINT_URL, or name the server in NO_PROXY"
        )
    if reply.status == HTTPStatus.NOT_IMPLEMENTED and is_conditional:
        return RefusedError(
            f"{location}: the server does not support conditional writes ({reply}); "
            "choose an S3 server with conditional writes, or a folder"
        )
    kind, problem, cure = _EXPLANATIONS.get(reply.code) or _explain_status(reply.status)
    return kind(f"{location}: {problem} ({reply}); {cure}")


def _describe_clocks(reply: ErrorReply, location: str, now: float) -> AnamnesisError | None:
    """Returns the error for clocks that differ: a request that was signed too early or too late has several codes."""
    if reply.status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN):
        return None
    difference = timedelta(seconds=now - reply.time) if reply.time is not None else timedelta()
    if reply.code != "RequestTimeTooSkewed" and abs(difference) <= MAXIMUM_CLOCK_DIFFERENCE:
        return None
    minutes = round(abs(difference) / timedelta(minutes=1))
    clocks = f"{minutes} minutes {'ahead of' if difference > timedelta() else 'behind'}" if minutes else "not that of"
    return UnreachableError(
        f"{location}: the clock of this machine is {clocks} the server's, so the server refuses every signature "
        f"({reply}); set both clocks, for example with NTP"
    )


def _is_wrong_region(reply: ErrorReply, region: str) -> bool:
    return (
        reply.status in (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.BAD_REQUEST)
        and bool(reply.region)
        and reply.region != region
    )


_Explanation = tuple[Callable[[str], AnamnesisError], str, str]
_CHECK_CREDENTIALS = "check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_CHECK_TOKEN = "write a new AWS_SESSION_TOKEN with its keys, or use keys without a token"
_RETENTION = (
    "the bucket's retention (Object Lock) forbids it; wait until the retention ends, or correct the bucket's default"
)
_FREE_SPACE = "free space or raise the quota; 'anamnesis registry prune' lists what a registry no longer needs"
_EXPLANATIONS: Mapping[str, _Explanation] = {
    "AccessDenied": (
        RefusedError,
        "access denied",
        f"check the credentials and their policy, which must allow {_RIGHTS}",
    ),
    "AllAccessDisabled": (RefusedError, "access denied", "ask the owner of the bucket to allow access again"),
    "InvalidAccessKeyId": (RefusedError, "the server does not know the access key", _CHECK_CREDENTIALS),
    "SignatureDoesNotMatch": (
        RefusedError,
        "the secret key does not fit the access key, or a proxy changed the request",
        f"{_CHECK_CREDENTIALS}, and AWS_ENDPOINT_URL",
    ),
    "ExpiredToken": (RefusedError, "the session token has expired", _CHECK_TOKEN),
    "InvalidToken": (RefusedError, "the session token is not valid", _CHECK_TOKEN),
    "InvalidTokenId": (RefusedError, "the session token is not valid", _CHECK_TOKEN),
    "QuotaExceeded": (RefusedError, "the quota of the bucket is used up", _FREE_SPACE),
    "XMinioAdminBucketQuotaExceeded": (RefusedError, "the quota of the bucket is used up", _FREE_SPACE),
    "XMinioStorageFull": (UnreachableError, "the disks of the server are full", _FREE_SPACE),
    "InsufficientCapacity": (UnreachableError, "the server has no space left", _FREE_SPACE),
    "EntityTooLarge": (
        RefusedError,
        "the object is larger than the server accepts in one request",
        "raise the limit of the server or of the proxy before it; S3 allows 5 GiB",
    ),
    "InvalidRetentionPeriod": (RefusedError, "the object was not written", _RETENTION),
    "ObjectLocked": (RefusedError, "the object cannot be changed or deleted", _RETENTION),
    "InvalidBucketState": (RefusedError, "the request does not fit the bucket's state", _RETENTION),
    "MethodNotAllowed": (
        RefusedError,
        "the server does not allow this request",
        "check the bucket's retention and policy, and the logs of the server",
    ),
    "NotImplemented": (
        RefusedError,
        "the server does not support this request",
        "choose an S3 server with conditional writes, or a folder",
    ),
    "XMinioKMSNotConfigured": (
        RefusedError,
        "the bucket encrypts its objects, but the server has no key service",
        "give the server a key service, or remove the bucket's encryption",
    ),
    "KMS.DisabledException": (RefusedError, "the key of the bucket's encryption is disabled", "enable the key"),
}


def _explain_status(status: int) -> _Explanation:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return RefusedError, "access denied", f"check the credentials and their policy, which must allow {_RIGHTS}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return RefusedError, "the proxy asks for a login", "write user and password into HTTPS_PROXY, or set NO_PROXY"
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return _EXPLANATIONS["NotImplemented"]
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return _EXPLANATIONS["MethodNotAllowed"]
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return _EXPLANATIONS["XMinioStorageFull"]
    problem = "the server did not execute the request"
    return AnamnesisError, problem, "check AWS_ENDPOINT_URL and the logs of the server"


def _element(text: str, name: str) -> str:
    match = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return unescape(match[1]) if match else ""


def _clean(text: str, secrets: tuple[str, ...]) -> str:
    """Returns a text of the server as one bounded line of printable characters, without secrets."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "...")
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    line = _LONG_WORD.sub("...", line).rstrip(" .;")
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 3]}..."


def _parse_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None
