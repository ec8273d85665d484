"""What is demanded of a model that is better before it may serve: each gate passes, fails, or says it cannot tell."""
