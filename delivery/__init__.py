"""Builds the parts of a release: images, their software bills of materials, and the bundle for air-gapped sites."""
