"""The prediction log of a server: rows wait, are committed in groups, and become Parquet."""
