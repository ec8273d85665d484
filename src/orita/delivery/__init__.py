"""How a change reaches users: assignment, flags, rollouts, shadow, experiments, bandits, off-policy evaluation."""
