"""Components that make versions, one component per method; body is what they share."""
