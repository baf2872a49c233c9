"""Evaluation of a model: metrics, the accuracy matrix, saliency retention, and the report on them.

``metrics``, ``statistics`` and ``saliency`` need torch; ``accuracy_matrix`` and ``report`` do not. For that reason the
package imports none of its modules.
"""

__all__ = ["accuracy_matrix", "metrics", "report", "saliency", "saliency_overlay", "statistics"]
