"""Holds the component ``evaluate_scheduled``."""
