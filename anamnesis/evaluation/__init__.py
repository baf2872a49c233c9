"""What a model still knows: metrics, the accuracy matrix, saliency retention, and the report drawn from them.

``metrics``, ``statistics`` and ``saliency`` need torch; ``matrix`` and ``report`` do not, so nothing is imported here.
"""

__all__ = ["matrix", "metrics", "overlay", "report", "saliency", "statistics"]
