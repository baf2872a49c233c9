"""Holds the component ``ingest_site``."""
