"""The feed: candidates are retrieved, ranked by the deployed model, put in an order to show, and given out in pages."""
