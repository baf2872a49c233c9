"""One ContinualModel on a cluster: read what is there, plan, carry out, tell."""
