"""The list of messages: errors, conditions, reasons, and how much of the code it covers."""

from textwrap import dedent

from quality.collect import Message, alerts, errors, raise_statements, reasons, states
from quality.messages import SOURCES
from quality.source import PythonFile, python_files


def parsed(source: str) -> PythonFile:
    return PythonFile.parse("sample.py", dedent(source))


def test_errors_are_listed_where_they_are_made() -> None:
    file = parsed("""
        def check(path):
            if not path:
                raise InputError("no path given; name a file")
            raise _damaged(path)

        def _damaged(path):
            return errors.ReadError(Reason.EMPTY, f"{path}: 0 bytes")
    """)
    assert [message for message in errors(file) if message.has_words()] == [
        Message("sample.py", "InputError", "no path given; name a file"),
        Message("sample.py", "errors.ReadError EMPTY", "{path}: 0 bytes"),
    ]


def test_conditions_have_their_type_and_reason() -> None:
    file = parsed("""
        def ready(site):
            return condition(condition_types.READY, "Learned", f"{site.name} is learned")

        def late(site):
            return condition("Ready", reasons.LATE, message="too late")
    """)
    assert list(states(file, {"condition": 2})) == [
        Message("sample.py", "Ready Learned", "{site.name} is learned"),
        Message("sample.py", "Ready LATE", "too late"),
    ]
    assert list(states(file, {})) == []


def test_reasons_are_the_sentences_of_enumerations() -> None:
    file = parsed("""
        class Reason(StrEnum):
            EMPTY = "the file is empty"
            OTHER = "Other"

        class Name(Enum):
            LONG = "a long name"
    """)
    assert list(reasons(file)) == [Message("sample.py", "Reason", "the file is empty")]


def test_an_alert_is_one_message_of_summary_and_description() -> None:
    messages = list(alerts())
    assert len({message.kind for message in messages}) == len(messages) > 20
    (silent,) = (message for message in messages if message.kind == "AnamnesisSiteSilent")
    assert silent.path == "manifests/alerts/sites.yaml"
    assert "has sent no new data. The content of the site's source has not changed for" in silent.text


def test_an_error_that_is_passed_on_has_no_text() -> None:
    file = parsed("""
        def check(error):
            if error:
                raise InputError(str(error)) from None
            raise InputError("wrong")
    """)
    assert [has_text for _, has_text in raise_statements(file)] == [False, True]


def test_a_message_is_found_whatever_the_order_of_definitions() -> None:
    file = parsed("""
        def check(site):
            raise InputError(describe(site))

        def describe(site) -> str:
            return f"site {site} is empty"
    """)
    assert [message.text for message in errors(file)] == ["site {site} is empty"]


def test_nearly_every_raise_statement_is_listed() -> None:
    files = [file for file in python_files() if file.path.startswith(SOURCES)]
    statements = [(file.path, node.lineno, has_text) for file in files for node, has_text in raise_statements(file)]
    passed_on = [f"{path}:{line}" for path, line, has_text in statements if not has_text]
    print(f"{len(passed_on)} of {len(statements)} raise statements pass on another text:", *passed_on, sep="\n")
    assert len(statements) > 300
    assert len(passed_on) < len(statements) / 20
