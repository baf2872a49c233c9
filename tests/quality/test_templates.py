"""From expressions to templates with named placeholders."""

import ast

import pytest

from quality.templates import MAXIMUM_ALTERNATIVES, templates


def templates_of(expression: str, **texts: tuple[str, ...]) -> list[str]:
    return templates(ast.parse(expression, mode="eval").body, texts)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'plain'", "plain"),
        ("f'{site.name!r}: {len(files)} files'", "{site.name}: {number of files} files"),
        ("f'{self._store.url}: gone'", "{store.url}: gone"),
        ("f'{names[0]} and {error[\"kind\"]}'", "{names} and {error.kind}"),
        ("f'{\", \".join(sorted(missing))} missing'", "{missing} missing"),
        ("f'{type(error).__name__}'", "{type of error}"),
        ("f'{gaps.min():.3f} mm'", "{gaps.min} mm"),
        ("f'{body.get(\"message\")}'", "{message}"),
        ("f'{spec.retries + 1} runs'", "{spec.retries + 1} runs"),
        ("'a ' + f'{b}'", "a {b}"),
        ("'\\n'.join(f'{path}: wrong' for path in paths)", "{path}: wrong ..."),
        ("' a text'.strip()", " a text"),
    ],
)
def test_one_template(expression: str, expected: str) -> None:
    assert templates_of(expression) == [expected]


def test_conditional_messages_give_both_variants() -> None:
    assert templates_of("'yes' if ready else 'no'") == ["yes", "no"]
    assert templates_of('f\'it is {"ready" if ready else "late"}\'') == ["it is ready", "it is late"]
    assert templates_of("reason or 'no reason'") == ["{reason}", "no reason"]


def test_names_give_their_texts_and_unknown_names_stay() -> None:
    assert templates_of("text", text=("a", "b")) == ["a", "b"]
    assert templates_of("text") == ["{text}"]


def test_a_sentence_inside_a_text_is_shown_and_a_word_keeps_its_name() -> None:
    assert templates_of("f'{message}; try again'", message=("the server {url} failed",)) == [
        "the server {url} failed; try again"
    ]
    assert templates_of("f'run: anamnesis {arguments()}'", **{"arguments()": ("-n NAMESPACE MODEL",)}) == [
        "run: anamnesis -n NAMESPACE MODEL"
    ]
    assert templates_of("f'{state} now'", state=("ready",)) == ["{state} now"]


def test_alternatives_are_bounded() -> None:
    assert len(templates_of("+".join(["('a' if x else 'b')"] * 6))) == MAXIMUM_ALTERNATIVES
