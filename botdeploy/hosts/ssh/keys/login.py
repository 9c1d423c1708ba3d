"""Logging in: the user's keys in their order, and no key at all last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.auth_strategy import AuthResult, AuthSource, AuthStrategy

from botdeploy.errors import AuthenticationFailed
from botdeploy.hosts.ssh import ssh_errors
from botdeploy.hosts.ssh.keys.user_keys import KeyProblem, UserKeys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.hosts.ssh.channels.transport import Transport
    from botdeploy.hosts.ssh.config.ssh_config import Destination

#: sshd disconnects at the sixth refusal, or earlier (MaxAuthTries).
_REFUSALS = 2


class KeyLogin(AuthStrategy):
    """Offers the user's keys in their order; on failure says which were refused."""

    def __init__(self, name: str, place: Destination, keys: UserKeys) -> None:
        """Take a name for messages."""
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._name = name
        self._place = place
        self._keys = keys

    def get_sources(self) -> Iterator[AuthSource]:
        """Give nothing: ``authenticate`` knows the order, and when to stop."""
        return iter(())

    def authenticate(self, transport: Any) -> AuthResult:
        """Log in with the first key that is accepted; raise AuthenticationFailed if none is."""
        place = self._place
        problems: list[str] = []
        refused: list[str] = []
        methods: list[str] = []
        try:
            for offer in self._keys.offers(place, problems):
                try:
                    methods = transport.auth_publickey(place.user, offer.key)
                except paramiko.BadAuthenticationType as error:
                    methods = error.allowed_types
                    break
                except paramiko.AuthenticationException as error:
                    if "timeout" in str(error):
                        raise _no_answer(transport) from error
                    refused.append(offer.name)
                except (paramiko.SSHException, EOFError, OSError) as error:
                    if transport.is_active():
                        problems.append(f"{offer.name}: {error}")
                    elif not refused:
                        raise
                else:
                    if not methods:
                        return AuthResult(strategy=self)
                    break
                if not transport.is_active():
                    break
            if self._needs_no_key(transport, refused, methods):
                return AuthResult(strategy=self)
        except KeyProblem as problem:
            raise AuthenticationFailed(self._name, str(problem)) from None
        if not transport.is_active() and not transport.disconnect_message and len(refused) <= 1:
            # Nothing was refused: the connection was lost while logging in.
            raise EOFError("the connection ended while logging in")
        raise AuthenticationFailed(
            self._name,
            ssh_errors.refusal(place, refused, problems, methods, transport.disconnect_message),
        )

    def _needs_no_key(self, transport: Transport, refused: list[str], methods: list[str]) -> bool:
        """Ask last whether the host accepts the user without a key, as the ssh of mesh VPNs does.

        ssh asks first, which costs a round trip each time. Not after several refusals: the host
        would close the connection after too many attempts. ``methods`` learns what the host takes.
        """
        if not transport.is_active() or methods or len(refused) >= _REFUSALS:
            return False
        try:
            transport.auth_none(self._place.user)
        except paramiko.BadAuthenticationType as error:
            methods.extend(error.allowed_types)
        except paramiko.AuthenticationException as error:
            if "timeout" in str(error):
                raise _no_answer(transport) from error
        except (paramiko.SSHException, EOFError, OSError):
            if not refused:
                raise
        else:
            return bool(transport.is_authenticated())
        return False


def _no_answer(transport: Transport) -> TimeoutError:
    banner = transport.get_banner() or b""
    said = " ".join(banner.decode("utf-8", "replace").split())[-300:]
    quoted = f"; it said {said!r}" if said else ""
    limit_s = transport.auth_timeout
    return TimeoutError(f"the host did not answer the login within {limit_s:.0f} s{quoted}")
