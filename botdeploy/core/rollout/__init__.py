"""The next step of a rollout, and what it is decided by. Read ``decision`` first."""
