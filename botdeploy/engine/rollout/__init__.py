"""One run of a rollout: observe, decide, act, again and again, until there is nothing to do.

``loop`` asks the decision and hands each of its answers to the part that carries it out:

- ``rollout_hosts``: what the run knows of each host, and how that changes; ``facts`` is what the
  decision may see of it, and ``refresh`` asks hosts again where it may be old.
- ``staging``: the release gets onto hosts, from its build or from a host that has it.
- ``switching``: the old release stops and the new one starts, under a lease.
- ``leases``: what keeps a host that is not confirmed from going back, and what confirms it.
- ``verdicts``: what the journals say of a ring, now or since it was switched; ``soak_evidence``
  reads and keeps a long soak's evidence on its host.
- ``reverting``: hosts go back.
- ``rollout_recorder``: what the hosts write down of how the rollout ended; ``ending`` says it to
  a person.
"""
