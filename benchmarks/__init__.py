"""Numbers that the pages claim, each with the command that makes it; ratios measured side by side in one run."""
