"""Effects on hosts: connections, the programs that act there, and their journals."""
