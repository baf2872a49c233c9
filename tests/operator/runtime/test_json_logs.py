"""Each line is JSON; messages and errors of libraries never show an object."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from anamnesis.operator.runtime.json_logs import configure_logging
from anamnesis.records import InputError


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """The stream with the logs of this process during the test."""
    root, hook = logging.getLogger(), threading.excepthook
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    root.handlers.clear()  # pytest's own would be closed
    configure_logging(stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:], threading.excepthook = before, hook
    root.setLevel(level)


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_has_time_level_message_and_key(output: io.StringIO) -> None:
    logging.getLogger("anamnesis.x").info("begins", extra={"key": "Site/wards/ulm", "spec": "canary"})
    (line,) = lines(output)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "INFO", "logger": "anamnesis.x", "message": "begins", "key": "Site/wards/ulm"}


def test_only_errors_of_libraries_are_logged_and_never_an_object(output: io.StringIO) -> None:
    library = logging.getLogger("kubernetes.objects")
    library.warning("something changed")
    library.error("cannot patch {'spec': 'canary'}", extra={"k8s_ref": {"canary": 1}})
    library.error("broken\ncanary")
    assert [line["message"] for line in lines(output)] == ["cannot patch ", "broken"]
    assert "canary" not in output.getvalue()


def test_a_library_cannot_lower_its_log_level(output: io.StringIO) -> None:
    client = logging.getLogger("urllib3.connectionpool")
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # as the client of Kubeflow Pipelines does
    client.warning("Retrying after connection broken")
    logging.getLogger("py.warnings").warning("works only with canaries")
    assert lines(output) == []


def test_an_error_is_logged_with_type_and_place_and_only_ours_with_its_text(output: io.StringIO) -> None:
    for error in (ValueError("canary"), InputError("spec.sites: there is no Site ulm")):
        try:
            raise error
        except Exception:
            logging.getLogger("anamnesis.x").exception("unexpected")
    foreign, ours = lines(output)
    assert foreign["error"] == "ValueError"
    assert foreign["place"][-1].startswith("test_json_logs.py:")
    assert "canary" not in output.getvalue()
    assert ours["reason"] == "spec.sites: there is no Site ulm"


def test_an_error_that_ends_a_thread_is_logged_the_same_way(output: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("canary")

    thread = threading.Thread(target=fail, name="watch")
    thread.start()
    thread.join()
    (line,) = lines(output)
    assert (line["message"], line["error"]) == ("an unexpected error ended thread watch", "ValueError")
    assert "canary" not in output.getvalue()
