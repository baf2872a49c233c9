"""Components that judge a version."""
