"""Training sets: the rows that models learn from, and how they are made again."""
