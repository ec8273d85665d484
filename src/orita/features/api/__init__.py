"""The feature store as users see it: offline, online and pushed features, in Python."""
