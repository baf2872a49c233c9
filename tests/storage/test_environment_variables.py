"""A Secret with odd bytes: either it works, or the error names the variable and quotes nothing of its value."""

import logging
import traceback
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.operator.source_credentials import source_environment
from anamnesis.records import AnamnesisError, InputError, UnreachableError
from anamnesis.sources import SourceItem, open_source
from anamnesis.storage import open_store
from anamnesis.storage.environment_variables import clean_value, read_variable

SECRET = "Zq7pWv3kXy"
ENDINGS = ("\n", "\r\n", " \n", "\0", "\ufeff")
ODD_BYTES = ("\n", "\r", "\0", "\x7f", "\x1b", "\u2028", "\ud800")
CLOSED_PORT = "http://127.0.0.1:1"


def read_bucket(environment: Mapping[str, str]) -> object:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": CLOSED_PORT}
    return open_source("s3://models/x", {**keys, **environment}).list_items()


def read_dicom_server(environment: Mapping[str, str]) -> object:
    return open_source(f"dicomweb+{CLOSED_PORT}", {"DICOM_USERNAME": "u", **environment}).list_items()


VARIABLES: tuple[tuple[str, Callable[[Mapping[str, str]], object]], ...] = (
    ("AWS_ACCESS_KEY_ID", read_bucket),
    ("AWS_SECRET_ACCESS_KEY", read_bucket),
    ("AWS_SESSION_TOKEN", read_bucket),
    ("AWS_ENDPOINT_URL", read_bucket),
    ("AWS_REGION", read_bucket),
    ("HTTP_PROXY", read_bucket),
    ("DICOM_USERNAME", read_dicom_server),
    ("DICOM_PASSWORD", read_dicom_server),
    ("DICOM_TOKEN", read_dicom_server),
    ("HTTP_PROXY", read_dicom_server),
)


@pytest.mark.parametrize(("name", "read"), VARIABLES)
@pytest.mark.parametrize("odd", ODD_BYTES)
def test_an_odd_byte_inside_a_secret_is_told_without_the_secret(
    name: str,
    read: Callable[[Mapping[str, str]], object],
    odd: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match=f"^{name}: ") as caught:
        read({name: f"{SECRET}{odd}{SECRET}"})
    everything = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert SECRET not in everything


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_ends_that_a_file_adds_do_not_count(
    ending: str, s3_environment: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = open_store("s3://models/endings", {name: value + ending for name, value in s3_environment.items()})
    store.put("a", b"1")
    assert store.get("a") == b"1"
    assert s3_environment["AWS_SECRET_ACCESS_KEY"] not in caplog.text
    assert source_environment({"token": f"\ufeff{SECRET}{ending}"}) == {"DICOM_TOKEN": SECRET}


def test_a_login_in_an_address_is_refused_and_not_quoted() -> None:
    for read, name, address in (
        (read_bucket, "AWS_ENDPOINT_URL", f"https://user:{SECRET}@s3.example.org"),
        (read_bucket, "AWS_ENDPOINT_URL", f"ftp://user:{SECRET}@s3.example.org"),
    ):
        with pytest.raises(AnamnesisError, match=name) as caught:
            read({name: address})
        assert SECRET not in str(caught.value)
    with pytest.raises(InputError, match="URL of the bucket contains a user") as caught:
        open_store(f"s3://user:{SECRET}@models/x", {})
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    for url in (f"dicomweb+ftp://s3?token={SECRET}", f"orthanc+http://u:{SECRET}@host"):
        with pytest.raises(InputError, match="DICOM server") as caught:
            open_source(url, {})
        assert SECRET not in str(caught.value)


@given(st.text(max_size=12), st.sampled_from(["DICOM_TOKEN", "DICOM_PASSWORD", "AWS_SECRET_ACCESS_KEY"]))
def test_a_clean_value_fits_into_a_header_or_is_refused(value: str, name: str) -> None:
    try:
        text = clean_value(name, value)
    except InputError:
        return
    assert clean_value(name, text) == text
    assert not any(character in text for character in "\r\n\0")
    text.encode("utf-8" if name == "DICOM_PASSWORD" else "ascii")


def test_a_password_keeps_its_spaces_and_letters() -> None:
    assert read_variable({"DICOM_PASSWORD": " pä ß \n"}, "DICOM_PASSWORD") == " pä ß "


def test_no_http_library_logs_the_path_of_a_request(
    s3_environment: Mapping[str, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    caplog.set_level(logging.DEBUG)
    uid = "1.2.840.4711"
    source = open_source(f"dicomweb+{CLOSED_PORT}", {"DICOM_TOKEN": SECRET})
    with pytest.raises(UnreachableError) as caught:
        source.read(SourceItem("key", "", 0, locator=f"studies/{uid}/instances/1"))
    store = open_store("s3://models/logs", s3_environment)
    store.put("SCHMIDT_ANNA.dcm", b"1")
    everything = caplog.text + "".join(traceback.format_exception(caught.value))
    for text in (SECRET, uid, "SCHMIDT", "X-Amz-Signature"):
        assert text not in everything
