"""The texts of a name at a place: branches, reassignments, loops, and names of other functions."""

import ast
from textwrap import dedent

import pytest

from quality.places import places
from quality.templates import templates


def raised_texts(source: str) -> list[list[str]]:
    """Returns the templates of each raised error, in the order of the source."""
    return [
        templates(node.exc.args[0], texts)
        for node, texts in places(ast.parse(dedent(source)))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]


def test_the_nearest_assignment_of_a_reused_name_counts() -> None:
    source = """
        def check(first, second):
            message = "first is wrong"
            if first:
                raise InputError(message)
            message = "second is wrong"
            if second:
                raise InputError(message)
    """
    assert raised_texts(source) == [["first is wrong"], ["second is wrong"]]


def test_another_branch_does_not_leak() -> None:
    source = """
        def check(kind):
            if kind == "a":
                message = "a is wrong"
                raise InputError(message)
            else:
                message = "b is wrong"
            raise InputError(message)
    """
    assert raised_texts(source) == [["a is wrong"], ["b is wrong"]]


def test_both_branches_before_a_raise_are_alternatives() -> None:
    source = """
        def check(kind):
            if kind == "a":
                message = "a is wrong"
            else:
                message = "b is wrong"
            raise InputError(message)
    """
    assert raised_texts(source) == [["a is wrong", "b is wrong"]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("text = 'a'\n    text += ' and b'", ["a and b"]),
        ("first, text = 1, 'a'", ["a"]),
        ("text: str = 'a'", ["a"]),
        ("if (text := 'a'): pass", ["a"]),
        ("for text in parts: pass", ["{text}"]),
        ("text = 'a'\n    for x in parts: text = 'b'", ["a", "b"]),
        ("text = 'a'\n    while x: text = 'b'", ["b", "a"]),
        ("text = 'a'\n    with x: text = 'b'", ["b"]),
        ("try: text = 'a'\n    except OSError: text = 'b'\n    else: text = 'c'", ["c", "b"]),
        ("try: text = 'a'\n    except OSError: return\n    finally: x = 1", ["a"]),
        ("match x:\n      case 1: text = 'a'\n      case _: text = 'b'", ["a", "b"]),
        ("text = load()", ["{load}"]),
    ],
)
def test_statements(body: str, expected: list[str]) -> None:
    assert raised_texts(f"def check(parts, x):\n    {body}\n    raise InputError(text)") == [expected]


def test_names_of_one_function_do_not_reach_another() -> None:
    source = """
        def first():
            message = "of the first"
            raise InputError(message)

        def second(message):
            raise InputError(message)
    """
    assert raised_texts(source) == [["of the first"], ["{message}"]]


def test_constants_and_functions_of_the_module_are_followed() -> None:
    source = """
        _LIMIT_MESSAGE = "too many"

        class Check:
            def run(self):
                raise InputError(_LIMIT_MESSAGE)

            def name(self, site):
                raise InputError(self._describe(site))

            def _describe(self, site) -> str:
                if site:
                    return f"site {site}: wrong"
                return "no site"
    """
    assert raised_texts(source) == [["too many"], ["site {site}: wrong", "no site"]]
