"""Components that bring data in."""
