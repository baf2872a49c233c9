"""Holds the component ``evaluate_saliency``."""
