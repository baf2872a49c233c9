"""Fisher information and the quadratic penalty that is made of it."""
