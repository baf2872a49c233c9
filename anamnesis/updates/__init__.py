"""Updates: base version + snapshot + configuration -> version, and the steps that pipelines and local runs call.

``UpdateRequest`` needs no torch; everything else is imported from its own module, so that a step loads what it uses.
"""

from anamnesis.updates.request import UpdateRequest

__all__ = ["UpdateRequest"]
