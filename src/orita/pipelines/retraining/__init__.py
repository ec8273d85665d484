"""When a new model is due, what it must show, how it reaches users, and when it is taken back."""
