"""Start the bot: ``python -m greeter``."""

from __future__ import annotations

import os

import discord
from discord import app_commands


def guilds(names: str) -> list[discord.Object]:
    """The guilds of a comma-separated list of ids."""
    return [discord.Object(int(name)) for name in names.split(",") if name.strip()]


class Greeter(discord.Client):
    """Registers its commands in the beta guilds that its ring names, else everywhere."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents.default())
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        """Register the commands; called once, after the login."""
        for guild in guilds(os.environ.get("BETA_GUILDS", "")):
            self.tree.copy_global_to(guild=guild)
            await self.tree.sync(guild=guild)
        if not os.environ.get("BETA_GUILDS"):
            await self.tree.sync()

    async def on_ready(self) -> None:
        """Say the line that ``ready: {pattern: READY}`` waits for."""
        print(f"READY as {self.user} in {len(self.guilds)} guilds", flush=True)


def main() -> None:
    """Log in with ``DISCORD_TOKEN`` and run until told to stop."""
    client = Greeter()

    @client.tree.command(description="Be greeted")
    async def greet(interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"Hello, {interaction.user.display_name}!")

    client.run(os.environ["DISCORD_TOKEN"], log_level=os.environ.get("LOG_LEVEL", "INFO").upper())


if __name__ == "__main__":
    main()
