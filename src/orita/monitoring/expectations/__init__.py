"""What rows and batches have to be like: declared, inferred from history, checked, reported, put in quarantine."""
