"""``python -m anamnesis.cli`` is the same as ``anamnesis``."""

from anamnesis.cli import main

main()
