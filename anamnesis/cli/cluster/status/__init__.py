"""``anamnesis status`` on a cluster: ``read`` collects the statuses, ``text`` writes them as lines for people."""

from anamnesis.cli.cluster.status.read import ModelView, NamespaceView, read_status
from anamnesis.cli.cluster.status.text import format_age, status_lines

__all__ = ["ModelView", "NamespaceView", "format_age", "read_status", "status_lines"]
