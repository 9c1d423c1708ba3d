"""Messages to the team and to the bot's users."""
