"""Small made-up things that several tests share."""
