"""What is kept: runs, versions, aliases, packages; MLflow underneath."""
