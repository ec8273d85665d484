"""Hyper-parameter search: what may be tried (`space`), who chooses (`sampling`, `pruning`), what is kept (`study`)."""
