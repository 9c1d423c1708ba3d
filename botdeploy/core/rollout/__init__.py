"""The next step of a rollout, and the facts that it depends on. Read ``decision`` first."""
