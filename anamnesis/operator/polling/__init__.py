"""Polls sources for new data. Reads listings, never images."""
