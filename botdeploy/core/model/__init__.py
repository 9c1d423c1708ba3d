"""What an inventory states: environment, bot, hosts, rings, policy."""
