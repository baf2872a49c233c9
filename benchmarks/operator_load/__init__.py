"""Many models on a real API server with one real operator process, and what is observed of them from outside."""
