"""Fabric as its documentation shows it: one ``run`` a step. A program of its own.

naive_fabric.py roll|back NAME RELEASE SOURCE KEY serial|parallel USER@ADDRESS:PORT ...
"""

from __future__ import annotations

import io
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

from fabric import Connection


def pack(source: str, to: str) -> None:
    """Pack the whole tree."""
    with tarfile.open(to, "w:gz") as tar:
        tar.add(source, arcname=".")


def roll(c: Connection, name: str, release: str, archive: str) -> None:
    """Deploy to one host, step by step."""
    home = f"/opt/{name}"
    to = f"{home}/releases/{release}"
    c.run(f"mkdir -p {to}", hide=True)
    c.put(archive, f"/tmp/{name}.tar.gz")
    c.run(f"tar -xzf /tmp/{name}.tar.gz -C {to}", hide=True)
    c.put(io.BytesIO(f"LOG_LEVEL=info\nRELEASE={release}\n".encode()), f"{to}/.env")
    was = c.run(f"readlink {home}/current", hide=True, warn=True).stdout.strip()
    if was:
        c.run(f"ln -sfn {was} {home}/previous", hide=True)
    restart(c, name, to)
    c.run(f"rm /tmp/{name}.tar.gz", hide=True)
    c.run(f"ls -1d {home}/releases/* | sort | head -n -5 | xargs -r rm -rf", hide=True)


def back(c: Connection, name: str) -> None:
    """Take one host back."""
    home = f"/opt/{name}"
    to = c.run(f"readlink {home}/previous", hide=True).stdout.strip()
    was = c.run(f"readlink {home}/current", hide=True).stdout.strip()
    c.run(f"ln -sfn {was} {home}/previous", hide=True)
    restart(c, name, to)


def restart(c: Connection, name: str, to: str) -> None:
    """Switch and see it running."""
    home = f"/opt/{name}"
    cursor = c.run(f"sudo journalctl -q -u {name} -n 1 -o cat --show-cursor", hide=True).stdout
    after = cursor.rpartition("-- cursor: ")[2].strip()
    since = f"--after-cursor='{after}'" if after else ""
    c.run(f"ln -s {to} {home}/.new && mv -T {home}/.new {home}/current", hide=True)
    c.run(f"sudo systemctl restart {name}", hide=True)
    for _ in range(200):
        said = c.run(f"sudo journalctl -q -u {name} -o cat {since}", hide=True).stdout
        if "READY" in said:
            break
        time.sleep(0.05)
    else:
        sys.exit(f"{c.host} did not become ready")
    pid = c.run(f"systemctl show -p MainPID --value {name}", hide=True).stdout.strip()
    runs = c.run(f"sudo readlink /proc/{pid}/cwd", hide=True).stdout.strip()
    if not runs.endswith(to.rpartition("/")[2]):
        sys.exit(f"{c.host} runs {runs}")


def main() -> None:
    """Deploy to every host."""
    act, name, release, source, key, mode, *places = sys.argv[1:]
    archive = f"{source}.tar.gz"
    if act == "roll":
        pack(source, archive)

    def one(place: str) -> None:
        with Connection(place, connect_kwargs={"key_filename": key}) as c:
            if act == "roll":
                roll(c, name, release, archive)
            else:
                back(c, name)

    with ThreadPoolExecutor(1 if mode == "serial" else len(places)) as pool:
        list(pool.map(one, places))


if __name__ == "__main__":
    main()
