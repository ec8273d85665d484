"""Online features: one request, from ids to a matrix."""
