"""What works beside requests."""
