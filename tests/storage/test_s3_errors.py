import pytest

from anamnesis.records import AnamnesisError, RefusedError, UnreachableError
from anamnesis.storage import MissingBucketError, MissingObjectError
from anamnesis.storage.s3_errors import ErrorReply, describe_error_reply, parse_error

NOW = 1_700_000_000.0


def describe(reply: ErrorReply, is_conditional: bool = False) -> AnamnesisError:
    return describe_error_reply(
        reply, "s3://models/x/a", "models", region="us-east-1", now=NOW, is_conditional=is_conditional
    )


def reply_of(status: int, code: str, message: str = "The server's words") -> ErrorReply:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return parse_error(status, {"Content-Type": "application/xml"}, body.encode())


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AccessDenied", RefusedError, "check the credentials and their policy"),
        (403, "Unheard", RefusedError, "access denied"),
        (403, "RequestTimeTooSkewed", UnreachableError, "clock of this machine is not that of the server's"),
        (400, "ExpiredToken", RefusedError, "write a new AWS_SESSION_TOKEN"),
        (403, "QuotaExceeded", RefusedError, "raise the quota"),
        (507, "XMinioStorageFull", UnreachableError, "the disks of the server are full"),
        (400, "InvalidRetentionPeriod", RefusedError, "retention (Object Lock)"),
        (405, "MethodNotAllowed", RefusedError, "does not allow this request"),
        (501, "NotImplemented", RefusedError, "choose an S3 server with conditional writes"),
        (407, "", RefusedError, "the proxy asks for a login"),
        (404, "NoSuchBucket", MissingBucketError, "create it first"),
        (404, "NoSuchKey", MissingObjectError, "does not exist"),
        (418, "Teapot", AnamnesisError, "check AWS_ENDPOINT_URL and the logs of the server"),
    ],
)
def test_each_error_has_its_kind_and_its_cure(status: int, code: str, kind: type[AnamnesisError], words: str) -> None:
    reply = reply_of(status, code)
    assert not reply.is_transient
    error = describe(reply, is_conditional=True)
    assert type(error) is kind
    assert words in str(error)
    if kind not in (MissingBucketError, MissingObjectError):
        assert f"status {status}" in str(error)
        assert "The server's words" in str(error)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (400, "BadDigest"), (400, "RequestTimeout"), (429, "")],
)
def test_errors_of_a_moment_are_sent_again(status: int, code: str) -> None:
    assert reply_of(status, code).is_transient


def test_the_servers_words_are_one_short_line_without_secrets() -> None:
    signature = "f" * 64
    message = f"Line\n\x1b[31mone &amp; key rossi_anna.dcm, {signature} {'word ' * 100}"
    reply = parse_error(403, {}, f"<Code>AccessDenied</Code><Message>{message}</Message>".encode(), ("rossi_anna.dcm",))
    assert reply.message.startswith("Line [31mone & key ..., ... word")
    assert len(reply.message) == 200
    assert signature not in str(describe(reply))


def test_a_web_page_is_not_an_answer_of_a_bucket() -> None:
    page = parse_error(404, {"content-type": "text/html"}, b"<html>blocked by the hospital</html>")
    assert "a proxy or a web server answered" in str(describe(page))
    assert "name the server in NO_PROXY" in str(describe(page))
