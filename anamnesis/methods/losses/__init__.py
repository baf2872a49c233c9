"""Summands of a loss, one class each, with their own state."""
