"""What the team and the bot's users are told."""
