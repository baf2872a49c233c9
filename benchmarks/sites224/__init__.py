"""The scoreboard at 224 pixels: methods side by side over sequences of real sites, with the product's own parts.

The claims, their margins and the seeds are in ``claims.json``, which was committed before the runs.
"""
