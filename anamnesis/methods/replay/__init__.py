"""Stored samples of earlier tasks; only for methods that declare it."""
