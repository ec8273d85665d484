"""What everyone shares: errors, configuration, time, identifiers, files, the home of state."""
