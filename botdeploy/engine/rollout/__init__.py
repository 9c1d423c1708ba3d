"""A rollout, as far as one command takes it: observe, decide, act, until nothing is left to do.

``loop`` asks the decision and hands each of its answers to the part that carries it out:

- ``rollout_hosts``: what is known of each host, and how that changes; ``ring_hosts`` answers which
  hosts stand where, and ``refresh`` asks hosts again where that may be old.
- ``staging``: the release gets onto hosts, from its build or from a host that has it.
- ``switching``: the old release stops and the new one starts, under a lease.
- ``leases``: what keeps a host that is not confirmed from going back, and what confirms it.
- ``ring_watch``: which hosts are followed and judged, and beside which; ``verdicts``: what the
  journals say of a ring; ``proving`` makes that known; ``soak_evidence`` reads and keeps what a
  soak showed on its host.
- ``reverting``: hosts go back.
- ``rollout_recorder``: what the hosts write down of how the rollout ended; ``ending`` says it to
  a person.
"""
