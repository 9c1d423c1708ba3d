"""Takes a rollout as far as one command may: observe, decide, act, until nothing is left to do.

``loop`` asks the decision and hands each of its answers to the class that carries it out; see
docs/architecture.md, "A host in a rollout".
"""
