"""What data looks like, in little room: profiles of columns that are made from streams and merge."""
