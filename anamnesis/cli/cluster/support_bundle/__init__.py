"""The support bundle: ``parts`` reads the cluster, ``redaction`` removes secrets, ``archive`` writes the file."""

from anamnesis.cli.cluster.support_bundle.archive import BundleSummary, write_bundle

__all__ = ["BundleSummary", "write_bundle"]
