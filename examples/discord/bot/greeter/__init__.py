"""A Discord bot that answers ``/greet``; new commands reach beta guilds first."""
