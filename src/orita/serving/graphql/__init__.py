"""``/graphql``: models and predictions as a graph; the part ``graphql`` that it needs is imported late."""
