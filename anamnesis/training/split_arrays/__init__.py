"""The memory-mapped arrays of a split: their layout, their files, and how they are written and opened."""
