"""ssh's arguments: what is followed, what is ignored, what is refused."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdeploy.core.model.address import Address, Jump, parse_jump, parse_ssh_args
from botdeploy.errors import UserError

asked = partial(Address, host="", hostname="")


@pytest.mark.parametrize(
    ("text", "jump"),
    [
        ("bastion", Jump("bastion")),
        ("me@bastion", Jump("bastion", "me")),
        ("me@bastion:2222", Jump("bastion", "me", 2222)),
        ("[2001:db8::1]:22", Jump("2001:db8::1", None, 22)),
        ("2001:db8::1", Jump("2001:db8::1")),
        ("ssh://me@bastion:22", Jump("bastion", "me", 22)),
        ("a@b@bastion", Jump("bastion", "a@b")),
    ],
)
def test_a_jump_names_user_host_and_port(text: str, jump: Jump) -> None:
    """A hop is read as ssh -J reads it."""
    assert parse_jump(text) == jump


@pytest.mark.parametrize(
    "text",
    ["", "@host", "me@", "a b", "-oProxyCommand=x", "-x@host", "host:0", "host:99999", "a\0b"],
)
def test_what_is_no_jump_is_refused(text: str) -> None:
    """A hop that ssh could take for something else is an error."""
    with pytest.raises(UserError, match=r"ProxyJump|port"):
        parse_jump(text)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("", asked()),
        ("-J a,me@b:22", asked(jumps=("a", "me@b:22"))),
        ("-o ProxyJump=a", asked(jumps=("a",))),
        ("-oProxyJump=a", asked(jumps=("a",))),
        ("-o 'ProxyJump a'", asked(jumps=("a",))),
        ("-J none", asked(options=(("proxyjump", "none"),))),
        ("-p 2222 -l me -i k1 -i k2", asked(port=2222, user="me", identity_files=("k1", "k2"))),
        ("-o User=one -o User=two", asked(user="one")),
        ("-o UserKnownHostsFile='a b'", asked(known_hosts_files=("a", "b"))),
        (
            "-o StrictHostKeyChecking=no -C -v -e none -o IPQoS=throughput",
            asked(
                passed_over=(
                    "-C",
                    "-v",
                    "-e none",
                    "-o stricthostkeychecking=no",
                    "-o ipqos=throughput",
                )
            ),
        ),
        ("-Cp2222", asked(port=2222, passed_over=("-C",))),
        ("-P t -b 127.0.0.1", asked(options=(("tag", "t"), ("bindaddress", "127.0.0.1")))),
        ("-o ProxyCommand=x -J a", asked(options=(("proxycommand", "x"),))),
        ("-J a -o ProxyCommand=x", asked(jumps=("a",))),
        ("-6", asked(options=(("addressfamily", "inet6"),))),
        ('-o ProxyCommand="nc %h %p"', asked(options=(("proxycommand", "nc %h %p"),))),
        ("-o HostName=10.0.0.1", asked(options=(("hostname", "10.0.0.1"),))),
    ],
)
def test_ssh_arguments_mean_what_they_mean_to_ssh(text: str, args: Address) -> None:
    """Options are read in all of ssh's spellings; the first value of a name wins."""
    assert parse_ssh_args(text) == args


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host", "not an option"),
        ("-", "not an option"),
        ("-o Port=0", "Port"),
        ("-p", "-p needs a value"),
        ("-o Port", "not Name=value"),
        ("-o 'UserKnownHostsFile /a \"\"'", "not Name=value"),
        ("-o 'HostName # c'", "not Name=value"),
        ("-o 'User \"a'", "a quote is not closed"),
        ("-o 'a", "No closing quotation"),
        ("-J a,,b", "ProxyJump"),
    ],
)
def test_what_is_no_argument_is_refused(text: str, message: str) -> None:
    """What ssh itself would not take is an error."""
    with pytest.raises(UserError, match=message):
        parse_ssh_args(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-W x:1 -l me", "-W is not supported"),
        ("-N -l me", "-N is not supported"),
        ("-R 1:a:2 -l me", "'remoteforward' is not supported"),
        ("-I lib.so -l me", "'pkcs11provider' is not supported; add the key to an agent"),
        ("-o LocalCommand=x -l me", "'localcommand' is not supported"),
        ("-o IPQos2=x -l me", "'ipqos2' is not supported; check its spelling in ssh_config"),
    ],
)
def test_what_cannot_be_followed_is_its_hosts_error_alone(text: str, message: str) -> None:
    """What would change the connection in a way we cannot follow is kept until it is needed."""
    args = parse_ssh_args(text)
    assert message in args.refused
    assert args.user == "me"
    assert message in Address("w1", "w1").with_ssh_args(text).refused


@pytest.mark.programs
@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh here")
def test_every_option_of_ssh_is_known() -> None:
    """No option that the installed ssh has, and shows, is taken for a mistake."""
    shown = subprocess.run(
        ["ssh", "-G", "-F", "none", "h"], capture_output=True, text=True, check=True
    ).stdout
    options = {line.partition(" ")[0] for line in shown.splitlines()} - {"host"}
    assert len(options) > 60
    for option in options:
        value = {"port": "22", "proxyjump": "a"}.get(option, "none")
        assert parse_ssh_args(f"-o {option}={value}").refused == "", option


def test_ansibles_variables_win_over_its_arguments() -> None:
    """What an address says already stays; arguments fill what is missing."""
    address = Address(host="w1", hostname="w1", port=22, identity_files=("k0",))
    grown = address.with_ssh_args("-p 2222 -l me -i k1 -J a")
    assert (grown.port, grown.user) == (22, "me")
    assert grown.identity_files == ("k0", "k1")
    assert grown.jumps == ("a",)


def test_hostname_in_arguments_leaves_the_name_that_ssh_is_given() -> None:
    """Ansible gives ssh both ansible_host and the option, and ssh connects to the option's."""
    address = Address(host="w1", hostname="10.9.9.9").with_ssh_args("-o HostName=10.0.0.1")
    assert (address.hostname, address.option("HostName")) == ("10.9.9.9", "10.0.0.1")


def test_an_address_finds_its_options_in_any_case() -> None:
    """Options are looked up by name, whatever the case; the password is never shown."""
    address = Address(host="a", hostname="a", become_password="hunter2").with_ssh_args(
        "-o ConnectTimeout=5"
    )
    assert address.option("ConnectTimeout") == "5"
    assert address.option("compression") is None
    assert "hunter2" not in repr(address)


@given(st.text(st.sampled_from("-oJipl46 ab=,:@[]'\"\\%hp\0\n12"), max_size=30))
@example("-J [")
@example("-o=")
@example("-J [a")
def test_any_arguments_are_read_or_a_users_error(text: str) -> None:
    """Arbitrary arguments never cause a fault of botdeploy's own."""
    try:
        args = parse_ssh_args(text)
    except UserError:
        return
    for jump in args.jumps:
        assert str(parse_jump(jump)) == jump


@pytest.mark.parametrize("option", ["IdentityFile=~/my keys/id", "HostName a b", "Port 22 23"])
def test_an_option_with_more_behind_its_value_is_refused(option: str) -> None:
    """So does ssh: the first word alone would be another file, host or port."""
    with pytest.raises(UserError, match="has more behind its value; for a value with blanks"):
        parse_ssh_args(shlex.join(["-o", option]))
