"""Components that put a version into use."""
