"""Where objects are stored: one small protocol, implemented by a folder and by any S3 server."""

from anamnesis.storage.store import MissingError, NoBucketError, ObjectInfo, Store, child, open_store

__all__ = ["MissingError", "NoBucketError", "ObjectInfo", "Store", "child", "open_store"]
