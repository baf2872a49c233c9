"""What a release is made of: images, lists of what is in them, and the bundle for a site without a network."""
