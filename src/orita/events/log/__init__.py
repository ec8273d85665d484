"""The event log: what happened, in order, durable before it is acknowledged; the truth that state is rebuilt from."""
