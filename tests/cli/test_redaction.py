"""What may leave a cluster in a support bundle."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.cli.cluster.support_bundle.redaction import redact_resource, remove_logins

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="\"'\\"), min_size=6)


@given(SECRETS)
def test_no_password_of_a_url_survives(secret: str) -> None:
    url = f"https://user:{secret}@pacs.example/qido"
    document = {"url": url, "list": [f"failed: {url} (refused)"], "text": json.dumps({"deep": url})}
    assert secret not in str(remove_logins(document))


@given(SECRETS.filter(lambda secret: "@" not in secret))
def test_no_query_of_a_url_survives(secret: str) -> None:
    url = remove_logins(f"GET s3://bucket/key?signature={secret} failed")
    assert url == "GET s3://bucket/key?*** failed"


@pytest.mark.parametrize("text", ["s3://bucket/prefix", "http://orthanc:8042/", "rossi@example.org wrote", "a?b", ""])
def test_what_is_harmless_stays(text: str) -> None:
    assert remove_logins(text) == text


def test_only_what_is_known_to_be_harmless_is_kept_of_metadata() -> None:
    metadata = {"name": "x", "managedFields": [1], "annotations": {"a": "b"}, "labels": {"anamnesis.dev/site": "y"}}
    redacted = redact_resource({"kind": "Site", "metadata": metadata, "spec": {}, "data": {"key": "value"}})
    assert redacted == {"kind": "Site", "metadata": {"name": "x", "labels": {"anamnesis.dev/site": "y"}}, "spec": {}}
