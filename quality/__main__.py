"""Fails on a class name that is defined twice, a banned variable name and a banned word: ``python -m quality``."""

import sys

from quality.names import banned_names, repeated_classes
from quality.words import banned_words


def main() -> int:
    """Prints every finding; returns the exit code."""
    findings = [*repeated_classes(), *banned_names(), *banned_words()]
    for finding in findings:
        print(finding)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
