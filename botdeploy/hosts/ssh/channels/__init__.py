"""One connection's transport, and programs over its channels."""
