"""Fails on repeated class names, banned names and words, and long lines of pages: ``python -m quality``."""

import sys

from quality.names import banned_names, repeated_classes
from quality.source import pages, python_files
from quality.words import banned_words, long_lines


def main() -> int:
    """Prints every finding; returns the exit code."""
    files = python_files()
    texts = tuple(pages())
    findings = [
        *repeated_classes(files),
        *banned_names(files),
        *banned_words(files, texts),
        *long_lines(texts),
    ]
    for finding in findings:
        print(finding)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
