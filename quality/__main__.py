"""Fails on a class name with two definitions, a banned variable name and a banned word: ``python -m quality``."""

import sys

from quality.names import banned_names, repeated_classes
from quality.source import pages, python_files
from quality.words import banned_words


def main() -> int:
    """Prints every finding; returns the exit code."""
    files = python_files()
    findings = [*repeated_classes(files), *banned_names(files), *banned_words(files, pages())]
    for finding in findings:
        print(finding)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
