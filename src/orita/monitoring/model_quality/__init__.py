"""How good a model is for its users: measured from feedback by segment and over time, estimated before it is there."""
