"""Holds the component ``evaluate_forgetting``."""
