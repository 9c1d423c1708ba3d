"""One strict ssh connection a host: trust, login, transport, channels."""
