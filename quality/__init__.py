"""Checks that keep names and sentences plain, and the list of every message that people read."""
