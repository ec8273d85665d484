"""Bandits over HTTP: choices and rewards are logged durably, and what follows from them is learnt beside requests."""
