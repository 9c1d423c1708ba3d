"""The content of a report about a rollout."""
