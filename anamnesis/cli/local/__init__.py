"""What commands do with ``-f``: on this machine, without a cluster."""
