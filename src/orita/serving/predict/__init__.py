"""One request for predictions, from its body to its answer."""
