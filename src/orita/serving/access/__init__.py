"""Who may ask for what: one gate before every route."""
