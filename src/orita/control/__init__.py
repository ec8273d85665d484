"""Who gets what, who may, who pays: event-sourced control state."""
