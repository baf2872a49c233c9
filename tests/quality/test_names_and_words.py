"""Banned names, repeated classes and banned words are found; what only resembles them is not."""

import subprocess
from pathlib import Path

import pytest

from quality.names import BANNED, banned_names, repeated_classes
from quality.source import PythonFile, TextFile, pages, python_files, tracked_files
from quality.words import banned_words, long_lines


def parsed(source: str, path: str = "sample.py") -> PythonFile:
    return PythonFile.parse(path, source)


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "for one in range(3): pass",
        "def f(wanted): pass",
        "def f(*, _known=1): pass",
        "def told(): pass",
        "async def said(): pass",
        "class C:\n    again: int",
        "self.found = 1",
        "[one for one in range(3)]",
        "if found := f(): pass",
        "import os as found",
        "with f() as found: pass",
        "try: pass\nexcept OSError as found: pass",
        "match x:\n    case {'a': 1, **others}: pass",
        "match x:\n    case [*kept]: pass",
        "match x:\n    case str() as given: pass",
    ],
)
def test_a_banned_name_is_found(source: str) -> None:
    (finding,) = banned_names([parsed(source)])
    assert finding.startswith("sample.py:")
    assert "does not say what it holds" in finding


@pytest.mark.parametrize(
    "source",
    ["run_found = 1", "print(found)", "x.found()", "x.found", "f(found=1)", "'found one'", "# found", "once = 1"],
)
def test_a_name_that_is_only_used_or_only_similar_is_not(source: str) -> None:
    assert list(banned_names([parsed(source)])) == []


def test_a_class_name_with_two_definitions_is_found() -> None:
    files = [parsed("class Model: pass\nclass Site: pass", "a.py"), parsed("def f():\n    class Model: pass", "b.py")]
    assert list(repeated_classes(files)) == ["class Model is defined 2 times: a.py:1, b.py:2; rename all but one"]
    assert list(repeated_classes(files[:1])) == []


def found_words(source: str) -> list[str]:
    return [finding.split("; ")[0] for finding in banned_words([parsed(source)], [])]


def test_a_banned_word_is_found_in_comments_docstrings_and_messages() -> None:
    source = '"""The data lies there."""\n# started anew\nraise InputError(f"{x} tells of {y}")\n'
    assert found_words(source) == [
        "sample.py:1: 'lies'",
        "sample.py:2: 'anew'",
        "sample.py:3: 'tells'",
    ]


def test_a_banned_word_is_found_on_a_page() -> None:
    page = TextFile("docs/page.md", "# Title\n\nIt shall be so. It is no file.\n")
    assert [finding.split("; ")[0] for finding in banned_words([], [page])] == [
        "docs/page.md:3: 'shall'",
        "docs/page.md:3: 'is no file'",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "beliefs and earlier files",  # lies, ear
        "the model is no longer in use; there is no file; it is no more than 3 MB",
        "the steps alone can read it",
        "a saline solution, a bearing, an intelligent tool",
        "they are all the same",
        "understood, understands",
        "put the file into the right folder",
        "the test stands for the method",
    ],
)
def test_plain_text_is_not_found(text: str) -> None:
    assert list(banned_words([parsed(f'"""{text}"""')], [TextFile("page.md", text)])) == []


def test_names_in_code_are_not_words() -> None:
    assert found_words("lies = tell(anew)") == []


def test_files_of_a_tree_are_the_tracked_and_the_new_ones(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("built.py\n")
    for name in ("b.py", "a.md", "built.py"):
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to("b.py")
    assert [path.name for path in tracked_files(tmp_path)] == [".gitignore", "a.md", "b.py"]


def test_the_project_has_files_and_pages() -> None:
    paths = {file.path for file in python_files()}
    assert {"quality/names.py", "anamnesis/evaluation/metrics.py"} <= paths
    assert {"README.md", "Makefile", "docs/limits.md"} <= {page.path for page in pages()}
    assert BANNED


def test_a_long_line_of_a_page_is_found_unless_it_cannot_be_broken() -> None:
    line = "word " * 30
    page = TextFile("docs/a.md", "\n".join([line, f"| {line} |", f"    {line}", f"see https://example.org/{line}"]))
    assert [finding.split(": ")[0] for finding in long_lines([page])] == ["docs/a.md:1"]
    assert not list(long_lines([TextFile("values.yaml", line)]))
