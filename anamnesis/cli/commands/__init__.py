"""The commands, one file per group: arguments, help and examples; the work is one folder up."""
