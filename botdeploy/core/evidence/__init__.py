"""What a host's journal showed of each release, minute by minute."""
