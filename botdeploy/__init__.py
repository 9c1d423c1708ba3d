"""botdeploy: canary deploys for bots on systemd hosts, without an agent."""

__version__ = "0.1.0"
