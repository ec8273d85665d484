"""State kept up as events arrive: from the event log to the online store, each event once."""
