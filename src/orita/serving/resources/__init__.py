"""``/api/v1/models``: models as resources, and what they have in common with GraphQL."""
