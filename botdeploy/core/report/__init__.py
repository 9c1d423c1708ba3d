"""What a report tells of a rollout."""
