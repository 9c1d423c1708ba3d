"""A lab of real hosts on one machine: Debian with systemd as PID 1, journald and sshd, each alone.

The hosts are systemd-nspawn containers over one shared base tree, each with a network namespace,
a cgroup and an ssh host key of its own. ``python -m tests.lab`` drives them by hand; tests ask
for the fixture ``lab``. ``README.md`` beside this file is the page for maintainers.
"""
