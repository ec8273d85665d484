"""What is known of features: versions, lineage, costs, in words and on disk."""
