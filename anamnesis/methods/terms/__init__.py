"""Terms that several methods build their loss from, each with its own state."""
