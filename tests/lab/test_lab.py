"""The lab itself: its hosts are real, apart from each other, breakable, and gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import yaml

from tests.lab import lab as labs
from tests.lab import machine, registry
from tests.lab.cgroups import PREFIX
from tests.lab.network import Network
from tests.lab.shell import LabError, run

if TYPE_CHECKING:
    from tests.lab.faults import BreakableHost
    from tests.lab.lab import Lab
    from tests.lab.plugin import NewLab

pytestmark = pytest.mark.lab

UNIT = """[Service]
ExecStart=/bin/sh -c 'echo hello from $$$$; exec sleep 1000'
Restart=always
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
def host(lab: labs.Lab) -> BreakableHost:
    """Answer the first host of the lab."""
    return lab["h1"]


def write_unit(host: BreakableHost, text: str = UNIT) -> None:
    host.root("cat >/etc/systemd/system/hello.service", stdin=text)
    host.root("systemctl daemon-reload && systemctl enable --now hello 2>&1")


def answers(host: BreakableHost, seconds: float = 20) -> bool:
    """Tell whether a login works within so many seconds."""
    try:
        return host.ssh("true", check=False, timeout=seconds).ok
    except subprocess.TimeoutExpired:
        return False


# -- what a host is --------------------------------------------------------------------------------


def test_every_host_runs_its_own_systemd_without_a_failed_unit(lab: labs.Lab) -> None:
    """Each host has booted to the end, and every unit came up."""
    for host in lab:
        assert host.root("systemctl is-system-running --wait").stdout.strip() == "running"
        assert host.root("cat /proc/1/comm").stdout.strip() == "systemd"


def test_hosts_are_apart_from_each_other(lab: labs.Lab) -> None:
    """Names, machine ids, boots, addresses and host keys are each host's own."""
    questions = (
        "hostname",
        "cat /etc/machine-id",
        "cat /proc/sys/kernel/random/boot_id",
        "ip -4 -br address show eth0",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "readlink /proc/1/ns/pid",
        "readlink /proc/1/ns/mnt",
        "readlink /proc/1/ns/net",
    )
    for question in questions:
        found = [host.root(question).stdout for host in lab]
        assert len(set(found)) == len(lab), question


def test_each_host_has_its_own_cgroup_in_every_hierarchy(lab: labs.Lab) -> None:
    """The first process of a host is in that host's group in each hierarchy of this machine."""
    for host in lab:
        init = host.init()
        assert init is not None
        for path in host.groups.paths:
            members = {
                int(pid) for file in path.rglob("cgroup.procs") for pid in file.read_text().split()
            }
            assert init in members, path


def test_deploy_may_use_sudo_and_plain_may_not(host: BreakableHost) -> None:
    """The two users have the rights that their names promise."""
    assert host.ssh("sudo -n id -u").stdout.strip() == "0"
    assert not host.ssh("sudo -n id -u", user="plain", check=False).ok
    assert host.ssh("id -Gn", user="plain").stdout.split() == ["plain"]
    assert host.ssh("id -u", user="root").stdout.strip() == "0"


def test_the_host_key_is_known_and_another_is_refused(host: BreakableHost) -> None:
    """Ssh logs in with the lab's known_hosts, and no longer when the host's key has changed."""
    assert host.ssh("true").ok
    with host.change_host_key():
        answer = host.ssh("true", check=False)
        assert answer.returncode == 255
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in answer.stderr
    assert host.ssh("true").ok


def test_units_run_and_the_journal_keeps_what_they_say(host: BreakableHost) -> None:
    """A service's standard output is in the journal under the service's name."""
    write_unit(host)
    pid = host.root("systemctl show -P MainPID hello").stdout.strip()
    host.root("journalctl --sync")
    assert f"hello from {pid}" in host.root("journalctl -q -u hello -o cat").stdout


def test_hosts_reach_each_other(lab: labs.Lab) -> None:
    """One host can open a connection to another, as through a bastion."""
    first, second, *_ = lab.hosts
    banner = first.root(f"bash -c 'head -c 4 </dev/tcp/{second.address}/22'").stdout
    assert banner == "SSH-"


def test_testinfra_looks_at_a_host(lab: labs.Lab) -> None:
    """A testinfra host answers as the user asked for, through paramiko and through ssh."""
    backends: tuple[Literal["paramiko", "ssh"], ...] = ("paramiko", "ssh")
    for backend in backends:
        host = lab["h2"].testinfra(backend=backend)
        assert host.user().name == "deploy"
        assert host.service("ssh").is_running
        assert host.file("/etc/hostname").content_string == "h2\n"
    assert lab["h2"].testinfra(user="root").user().name == "root"
    assert lab["h2"].testinfra(sudo=True).user().name == "root"


# -- what can go wrong -----------------------------------------------------------------------------


def test_a_reboot_comes_back_with_what_was_enabled(host: BreakableHost) -> None:
    """After a reboot the boot is another one, enabled units run and the journal has both boots."""
    write_unit(host)
    before = host.root("cat /proc/sys/kernel/random/boot_id").stdout
    host.reboot()
    assert host.root("cat /proc/sys/kernel/random/boot_id").stdout != before
    assert host.root("systemctl is-active hello").stdout.strip() == "active"
    assert host.root("journalctl -q --list-boots | wc -l").stdout.strip() != "1"


def test_a_power_cut_kills_at_once_and_power_brings_it_back(host: BreakableHost) -> None:
    """Without power nothing runs or answers; with it the host boots again."""
    write_unit(host)
    power = host.cut_power()
    assert not host.is_on
    assert host.groups.pids() == set()
    assert not answers(host, 2)
    power.end()
    assert host.root("systemctl is-active hello").stdout.strip() == "active"


@pytest.mark.parametrize("fault", ["cut_network", "drop_at_bridge", "lose_answers"])
def test_without_network_ssh_fails_and_the_host_runs_on(host: BreakableHost, fault: str) -> None:
    """Each way to lose the network stops ssh, leaves the host alone, and can be mended."""
    with getattr(host, fault)():
        assert not answers(host, 2)
        assert host.root("systemctl is-active ssh").stdout.strip() == "active"
    assert answers(host)


def test_losing_answers_still_lets_the_host_hear(host: BreakableHost) -> None:
    """With answers lost, packets still arrive at the host: the loss is one way."""

    def heard() -> int:
        text = host.root("ip -s -j link show dev eth0").stdout
        return int(json.loads(text)[0]["stats64"]["rx"]["packets"])

    with host.lose_answers():
        before = heard()
        assert not answers(host, 2)
        assert heard() > before


def test_a_slow_network_still_works(host: BreakableHost) -> None:
    """With little bandwidth ssh is slow, but works."""
    with host.slow_network(rate="1mbit"):
        assert answers(host, 30)


def test_killing_sessions_breaks_them_and_lets_new_ones_in(host: BreakableHost) -> None:
    """An open connection ends with 255 when its sshd is killed; the next one works."""
    argv = ["ssh", "-F", str(host.lab.folder / "ssh_config"), host.name, "echo up; sleep 100"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as session:
        assert session.stdout
        assert session.stdout.readline() == b"up\n"
        assert host.kill_ssh_sessions() > 0
        assert session.wait(timeout=20) == 255
    assert answers(host)


def test_sshd_stopped_refuses_and_frozen_says_nothing(host: BreakableHost) -> None:
    """A stopped sshd refuses connections at once; a frozen one accepts and stays silent."""
    with host.stop_sshd():
        answer = host.ssh("true", check=False)
        assert answer.returncode == 255
        assert "refused" in answer.stderr
    with host.freeze_sshd():
        assert not answers(host, 2)
    assert answers(host)


def test_a_frozen_host_says_nothing_until_it_goes_on(host: BreakableHost) -> None:
    """While all processes are stopped nobody can log in; afterwards the same boot goes on."""
    before = host.init()
    with host.freeze():
        assert not answers(host, 2)
    assert answers(host)
    assert host.init() == before


def test_sudo_can_be_denied(host: BreakableHost) -> None:
    """Deploy loses sudo and gets it back."""
    with host.deny_sudo():
        assert not host.ssh("sudo -n true", check=False).ok
    assert host.ssh("sudo -n true").ok


def test_a_full_disk_takes_no_byte_more(host: BreakableHost) -> None:
    """On a full disk writing fails and what was there before stays; at the end there is space."""
    host.root("echo kept >/opt/before")
    with host.small_disk(size="8m"):
        with host.fill_disk():
            assert "No space left" in host.root("head -c 9 /dev/zero >/opt/x", check=False).stderr
            assert host.root("cat /opt/before").stdout == "kept\n"
        host.root("echo x >/opt/x")
        with host.fill_disk(leave_kb=64):
            host.root("head -c 32768 /dev/zero >/opt/y")
            assert not host.root("head -c 131072 /dev/zero >/opt/z", check=False).ok


def test_without_inodes_no_file_can_be_made_though_there_is_space(host: BreakableHost) -> None:
    """Without inodes making a file fails, while `df` shows space and `df -i` does not."""
    with host.small_disk(inodes=64), host.fill_inodes():
        assert not host.root("touch /opt/x", check=False).ok
        assert int(host.root("df --output=pcent /opt | tail -1 | tr -d ' %'").stdout) < 10
        assert int(host.root("df --output=ipcent /opt | tail -1 | tr -d ' %'").stdout) == 100


def test_filling_this_machines_disk_is_refused(host: BreakableHost) -> None:
    """A folder without a disk of its own is not filled: that would fill this machine's."""
    with pytest.raises(LabError, match="small_disk"):
        host.fill_disk("/var")


def test_a_folder_can_be_read_only(host: BreakableHost) -> None:
    """A read-only folder takes no file, and takes one again afterwards."""
    with host.make_read_only():
        assert "Read-only" in host.root("touch /opt/x", check=False).stderr
    host.root("touch /opt/x")


def test_without_journald_services_run_unheard(host: BreakableHost) -> None:
    """While the journal is stopped its sockets are gone too; at the end it records again."""
    with host.stop_journald():
        assert host.root("systemctl is-active systemd-journald", check=False).stdout != "active\n"
        assert not host.root(
            "test -S /run/systemd/journal/stdout && logger -t lab lost", check=False
        ).ok
    host.root("echo found | systemd-cat -t lab; journalctl --sync")
    assert host.root("journalctl -q -t lab -o cat").stdout == "found\n"


def test_a_power_cut_loses_what_was_not_synced(new_lab: NewLab) -> None:
    """On a disk of its own a power cut takes an unsynced file, and leaves a synced one."""
    host = new_lab(1, disk_mb=256)["h1"]
    host.root("echo safe >/opt/synced; sync -f /opt/synced")
    host.root("echo gone >/opt/unsynced")
    with host.cut_power():
        pass
    assert host.root("cat /opt/synced").stdout == "safe\n"
    assert host.root("cat /opt/unsynced", check=False).stdout == ""
    assert host.root("systemctl is-system-running --wait").stdout.strip() == "running"


def test_a_host_with_a_disk_can_run_full_and_mend(new_lab: NewLab) -> None:
    """The whole host is out of space while the fault lasts, and this machine is not."""
    host = new_lab(1, disk_mb=64)["h1"]
    with host.fill_disk("/var"):
        assert "No space left" in host.root("head -c 9 /dev/zero >/opt/x", check=False).stderr
    host.root("head -c 9 /dev/zero >/opt/x")
    with host.fill_inodes("/var"):
        assert not host.root("touch /opt/y", check=False).ok


# -- put back, taken down --------------------------------------------------------------------------


def footprint(host: BreakableHost) -> str:
    """Answer what a deploy would change on a host."""
    return host.root(
        "systemctl list-units --all --plain --no-legend --type=service,timer,socket,path"
        " | awk '{print $1, $3}' | grep -v journald | grep -v systemd-tmpfiles-clean;"
        "cat /etc/passwd /etc/shadow /etc/group /etc/gshadow; "
        "find /etc/sudoers.d /etc/systemd -printf '%p %l %M %u\n' | sort;"
        "ls -A /opt /var/lib /usr/local/lib /run/botdeploy /home/deploy /tmp /etc/cron.d 2>&1;"
        "grep -c lab /proc/mounts"
    ).stdout


def test_reset_leaves_nothing_of_a_deploy_or_a_fault(host: BreakableHost) -> None:
    """After a reset the host is as it came up: units, users, rights, files, mounts and faults."""
    host.reset()
    before = footprint(host)
    host.root(
        "useradd --system bot; usermod -aG systemd-journal deploy; mkdir -p /var/lib/botdeploy/x"
        " /usr/local/lib/botdeploy/x /run/botdeploy/x /opt/bot/releases /var/lib/bot;"
        "echo 'bot ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/bot; touch /tmp/x /home/deploy/x;"
        "systemd-run -q --unit=botdeploy-guard-bot -p Restart=on-failure sleep 1000;"
        "systemd-run -q --on-active=1h --unit=botdeploy-later true"
    )
    deaf = UNIT.replace("exec sleep 1000", "trap true TERM; while :; do sleep 1000; done")
    write_unit(host, deaf.replace("[Service]", "[Service]\nUser=bot\nKillMode=process"))
    host.ssh("nohup sleep 1000 >/dev/null 2>&1 &")
    assert footprint(host) != before
    host.deny_sudo()
    host.change_host_key()
    host.small_disk()
    host.make_read_only()
    host.stop_sshd()
    host.stop_journald()
    host.slow_network()
    host.lose_answers()
    host.cut_network()
    host.freeze()
    host.reset()
    assert footprint(host) == before
    assert not host.root("pgrep sleep", check=False).ok
    assert host.ssh("sudo -n true").ok
    assert host.root("journalctl -q -u hello").stdout == ""


CONF = "/etc/systemd/journald.conf.d"
RESTART = "systemctl restart systemd-journald"
MUTE = f"mkdir {CONF}; printf '[Journal]\\nStorage=none\\n' >{CONF}/a.conf; {RESTART}"
SLOW = "[Journal]\\nRateLimitBurst=1\\nRateLimitIntervalSec=1h\\n"
TALKS = "systemd-run -q --wait --unit=talks -p LogRateLimitIntervalSec=1h -p LogRateLimitBurst=60"
JOURNAL_HARMS = {
    "mute": MUTE,
    "mute in memory": f"{MUTE}; rm -r {CONF}",
    "choosy": f"echo MaxLevelStore=warning >>/etc/systemd/journald.conf; {RESTART}",
    "slow": f"mkdir -p /run/systemd/journald.conf.d; printf '{SLOW}'"
    f" >/run/systemd/journald.conf.d/a.conf; {RESTART}",
    "tired of a unit": f"{TALKS} sh -c 'seq 200; sleep 1'",  # journald asks whose a line is
    "started too often": f"for n in 1 2 3 4 5 6; do {RESTART}; done",
    "masked": "systemctl mask --now systemd-journald.socket systemd-journald-dev-log.socket"
    " systemd-journald",
    "without a folder": f"rm -r /var/log/journal; {RESTART}; rm -r /run/log/journal",
}
OVERRIDE = "/etc/systemd/system/ssh.service.d"
HARMS = {
    "systemctl mask --now cron": "cron masked",
    "systemctl mask --runtime --now dbus.service dbus.socket": "dbus.socket inactive",
    "systemctl disable --now systemd-tmpfiles-clean.timer; systemctl stop systemd-udevd-kernel"
    ".socket": "systemd-tmpfiles-clean.timer inactive",
    f"mkdir {OVERRIDE}; printf '[Service]\\nLimitNOFILE=99\\n' >{OVERRIDE}/a.conf;"
    " systemctl daemon-reload; systemctl restart ssh": "Max open files 99 99 files",
    "systemctl set-property --runtime ssh.service TasksMax=77": "TasksMax=77",
    "echo 'deploy ALL=(ALL:ALL) !ALL' >>/etc/sudoers.d/deploy": "sudo 1",
    "chmod 0777 /etc/sudoers": "/etc/sudoers f 777 root root",
    "echo AllowUsers root >/etc/ssh/sshd_config.d/a.conf; systemctl restart ssh;"
    " rm /etc/ssh/sshd_config.d/a.conf": "ssh 255",
    "echo PermitTTY no >/etc/ssh/sshd_config.d/b.conf": "permittty no",
    "rm /etc/ssh/lab_authorized_keys": "",
    "touch /run/nologin": "/run/nologin",
    "sed -i '1i printf hello' /home/deploy/.bashrc; rm /root/.profile": "printf hello",
    "ln -sfn /usr/share/zoneinfo/Asia/Tokyo /etc/localtime": "JST",
    "hostname other; echo 127.0.0.1 other >/etc/hosts": "other",
    "echo x >/var/.lab-filler; rm -r /srv; echo x >/dev/shm/x": "/var/.lab-filler",
    "mount -t tmpfs lab /opt": "/opt rw",
    "mount -t tmpfs -o size=9m lab /tmp": "/tmp size=9216k",
    "setsid sleep 1000 </dev/null >/dev/null 2>&1 &": "sleep",
    "mount --bind /etc /etc && mount -o remount,bind,ro /etc": "/etc ro",
}


def heard(host: BreakableHost, when: str) -> tuple[int, ...]:
    """Answer how many of 50 lines the journal keeps, of a unit with a limit and of one without."""
    told = host.root(
        f"{TALKS} -p 'SyslogIdentifier=limited {when}' sh -c 'seq 50; sleep 0.5';"
        f" systemd-run -q --wait -p 'SyslogIdentifier=free {when}' seq 50; journalctl --sync;"
        f' for kind in limited free; do journalctl -q -o cat -t "$kind {when}" | wc -l; done'
    )
    return tuple(int(word) for word in told.stdout.split())


def standing(host: BreakableHost) -> set[str]:
    """Answer what a host is, line by line, beside what is deployed there."""
    login = host.ssh("sudo -n true", check=False, timeout=20)
    told = host.root(
        "for unit in cron ssh dbus.service dbus.socket systemd-tmpfiles-clean.timer; do"
        " echo $unit $(systemctl is-enabled $unit); echo $unit $(systemctl is-active $unit); done;"
        "systemctl show -p TasksMax ssh; cat /proc/$(systemctl show -P MainPID ssh)/limits;"
        "find /etc -type f -exec sha256sum {} +; find /etc -printf '%p %y %m %u %g %l\\n';"
        "find /home /root -name '.[bp]*' -type f -printf '%p %M %u %g\n' -exec sha256sum {} +;"
        "head -qn 1 /home/*/.bashrc;"
        "sshd -T; date +%Z; hostname; ls -d /opt /srv /run/nologin; find /opt /srv /var/.[!.]*"
        ' /dev/shm; ps -e -o comm= | grep sleep; awk \'{ n = split($4, all, ",");'
        " for (i = 1; i <= n; i++) print $2, all[i] }' /proc/mounts",
        check=False,
    )
    lines = {" ".join(line.split()) for line in told.stdout.splitlines()}
    return {*lines, f"{'ssh' if login.returncode == 255 else 'sudo'} {login.returncode}"}


def test_reset_leaves_journald_as_it_was(host: BreakableHost) -> None:
    """However it was muted, limited, masked or stopped, afterwards it keeps what is written."""
    for harm, script in JOURNAL_HARMS.items():
        host.root(f"{script}\ntrue")
        assert heard(host, f"while {harm}") != (50, 50), harm
        host.reset()
        assert heard(host, f"after {harm}") == (50, 50), harm


def test_reset_leaves_nothing_of_what_was_done_to_a_host(host: BreakableHost) -> None:
    """Units, rights, sshd, time, names, disks, mounts and processes are as they were."""
    before = standing(host)
    for script, sign in HARMS.items():
        host.root(f"{script}\ntrue")
        assert not sign or sign in standing(host) - before, script
    host.reset()
    assert standing(host) ^ before == set()


def test_a_host_that_is_not_as_it_was_is_named(host: BreakableHost) -> None:
    """What a reset can't put back fails it: here a journald whose very first setting is mute."""
    first = "/usr/lib/botdeploy-lab/etc/systemd/journald.conf"
    host.root(f"cp -p {first} /usr/lib/first; echo Storage=none >>{first}")
    with pytest.raises(LabError, match=r"/h1 is not as it was.*journald does not keep"):
        host.reset()
    host.root(f"mv /usr/lib/first {first}")
    host.reset()


def test_only_hosts_that_somebody_may_have_reached_are_reset(lab: Lab) -> None:
    """A reset takes a second of a processor; who has a host's address may have been there."""
    lab.reset()
    assert [host.name for host in lab if host.is_used] == []
    lab["h1"].root("touch /root/x")
    assert lab["h2"].address
    assert [host.name for host in lab if host.is_used] == ["h1", "h2"]
    lab.reset()
    assert not lab["h1"].root("ls /root/x", check=False).ok
    assert not lab["h2"].root("ls /root/x", check=False).ok


def test_reset_switches_a_host_on(host: BreakableHost) -> None:
    """A host without power is up after a reset."""
    host.cut_power()
    host.reset()
    assert answers(host)


def leftovers() -> dict[str, set[str]]:
    """Answer everything on this machine that a lab could leave behind."""
    links = run(["ip", "-o", "link"]).stdout.splitlines()
    groups = [path for top in machine.hierarchies() for path in top.glob(f"{PREFIX}*")]
    # /run/netns itself is iproute2's, made once for the first namespace of all.
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "links": {line.split(": ")[1].partition("@")[0] for line in links},
        "namespaces": set(run(["ip", "netns", "list"]).stdout.split()),
        "routes": set(run(["ip", "route"]).stdout.splitlines()),
        "cgroups": {str(path) for path in groups},
        "mounts": {line.split()[4] for line in mounts} - {"/run/netns"},
        "loops": set(run(["losetup", "-n", "-O", "BACK-FILE"], check=False).stdout.splitlines()),
        "files": {str(path) for path in registry.ROOT.iterdir()},
        "nspawn": {str(path) for path in Path("/run/systemd/nspawn").glob("*/*")},
    }


def of_lab(lab: labs.Lab, found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Keep what is of this lab: others may start and stop theirs meanwhile."""
    network = lab.record.network
    names = (network.bridge, network.cidr, f"/{lab.name}", f"{lab.name}-h")
    return {
        kind: kept
        for kind, items in found.items()
        if (kept := {item for item in items if any(name in item for name in names)})
    }


def processes_of(lab: labs.Lab) -> set[tuple[int, int]]:
    """Answer pid and start of every process of the lab's hosts."""
    pids = {pid for host in lab for pid in host.groups.pids()}
    return {(pid, started) for pid in pids if (started := machine.start_time(pid)) is not None}


def test_down_leaves_nothing_behind(new_lab: NewLab) -> None:
    """A lab that was up, rebooted and broken leaves no process, mount, link, group or file."""
    lab = new_lab(2, disk_mb=64)
    processes = processes_of(lab)
    assert {"links", "namespaces", "cgroups", "routes", "files", "loops"} <= of_lab(
        lab, leftovers()
    ).keys()
    lab["h1"].reboot()
    lab["h1"].small_disk()
    lab["h2"].cut_network()
    processes |= processes_of(lab)
    labs.down(lab.name)
    assert of_lab(lab, leftovers()) == {}
    assert not [pid for pid, started in processes if machine.start_time(pid) == started]
    assert not lab.folder.exists()


def test_a_lab_of_a_dead_owner_is_stale_and_can_be_taken_down() -> None:
    """A lab whose owner was killed shows as stale with the reason, and goes when asked."""
    name = f"stale-{os.getpid()}"
    program = (
        "import os, signal\nfrom tests.lab import lab\nfrom tests.lab.registry import Owner\n"
        f"lab.up(1, name={name!r}, owner=Owner.me())\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=labs.PROJECT, check=False)
    assert killed.returncode == -9
    lab = labs.attach(name)
    assert "is dead" in (lab.record.stale() or "")
    assert lab["h1"].ssh("true").ok
    assert name in labs.down_stale()
    assert of_lab(lab, leftovers()) == {}


def test_a_name_that_is_taken_is_refused_with_who_has_it(lab: labs.Lab) -> None:
    """Starting a lab of the same name says whose it is and how to take it down."""
    with pytest.raises(LabError, match=f"down --name {lab.name}"):
        labs.up(1, name=lab.name)


def test_a_lab_that_cannot_start_is_taken_down_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a host does not come up, the error carries its console and nothing is left."""
    name = f"broken-{os.getpid()}"
    seen: list[labs.Lab] = []

    def spoil(lab: labs.Lab) -> None:
        write_folder(lab)
        seen.append(lab)
        run(["ip", "netns", "delete", lab["h1"].link])

    write_folder = labs.write_folder
    monkeypatch.setattr(labs, "write_folder", spoil)
    with pytest.raises(LabError, match=r"(?s)switched off.*netns"):
        labs.up(1, name=name)
    assert of_lab(seen[0], leftovers()) == {}


def test_two_labs_do_not_see_each_other(lab: labs.Lab, new_lab: NewLab) -> None:
    """Labs have networks of their own; a second one can be broken without the first noticing."""
    other = new_lab(1)
    assert other.record.network != lab.record.network
    assert other["h1"].name == lab["h1"].name
    with other["h1"].cut_network():
        assert answers(lab["h1"])
    assert other["h1"].ssh("hostname -I").stdout.strip() == other["h1"].address


# -- the command line ------------------------------------------------------------------------------


def cli(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.lab", *args],
        cwd=labs.PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_line_starts_uses_resets_and_stops_a_lab() -> None:
    """Up, list, ssh, reset and down do what they say, with exit codes that can be relied on."""
    name = f"cli-{os.getpid()}"
    try:
        up = cli("up", "2", "--name", name)
        assert up.returncode == 0, up.stderr
        assert "h2 198.18." in up.stderr
        listing = cli("list").stdout
        assert f"{name} " in listing
        assert "2/2 hosts" in listing
        assert cli("ssh", "--name", name, "h2", "hostname").stdout == "h2\n"
        assert cli("ssh", "--name", name, "h1", "exit", "7").returncode == 7
        assert cli("ssh", "--name", name, "-l", "root", "h1", "touch", "/opt/x").returncode == 0
        assert cli("reset", "--name", name).returncode == 0
        assert cli("ssh", "--name", name, "h1", "ls", "/opt").stdout == ""
        assert cli("ssh", "--name", name, "h9", "true").returncode == 1
    finally:
        down = cli("down", "--name", name)
    assert down.returncode == 0, down.stderr
    assert cli("down", "--name", name).returncode == 1


# -- what goes with it -----------------------------------------------------------------------------


def require(tool: str) -> None:
    """Skip without the program, or fail where the lab is required."""
    if shutil.which(tool) is None:
        if os.environ.get("BOTDEPLOY_REQUIRE_LAB") == "1":
            pytest.fail(f"BOTDEPLOY_REQUIRE_LAB=1, but {tool} is missing", pytrace=False)
        pytest.skip(f"{tool} is missing")


def test_the_vagrantfile_is_valid(tmp_path: Path) -> None:
    """Vagrant accepts the file, and only looking at it leaves nothing in the project."""
    require("vagrant")
    environ = {
        **os.environ,
        "VAGRANT_HOME": str(tmp_path / "home"),
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "machines"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
    }
    done = subprocess.run(
        ["vagrant", "validate", "--ignore-provider"],
        cwd=labs.PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated successfully" in done.stdout


def test_the_vagrantfile_the_lab_and_the_inventory_name_the_same_hosts() -> None:
    """One inventory serves both: names, addresses and the place of the key agree."""
    inventory = yaml.safe_load((labs.PROJECT / "inventories/lab.yml").read_text())["all"]
    network = Network(registry.DEFAULT_NUMBER)
    assert inventory["hosts"] == {
        f"h{number}": {"ansible_host": network.address(number)} for number in range(1, 5)
    }
    folder = f"{{{{ inventory_dir }}}}/../.lab/{registry.DEFAULT_NAME}"
    assert inventory["vars"]["ansible_ssh_private_key_file"] == f"{folder}/id_ed25519"
    assert (
        f"UserKnownHostsFile={folder}/known_hosts " in inventory["vars"]["ansible_ssh_common_args"]
    )
    vagrantfile = (labs.PROJECT / "Vagrantfile").read_text()
    assert f'address = "{network.prefix}.#{{number + 10}}"' in vagrantfile
    assert network.address(1) == f"{network.prefix}.11"
