"""Stores of objects: one small protocol, implemented by a folder and by any S3 server."""

from anamnesis.storage.store import MissingBucketError, MissingObjectError, ObjectInfo, Store, child_url, open_store

__all__ = ["MissingBucketError", "MissingObjectError", "ObjectInfo", "Store", "child_url", "open_store"]
