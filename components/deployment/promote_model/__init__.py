"""Holds the component ``promote_model``."""
