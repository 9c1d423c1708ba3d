"""One strict ssh connection a host: trust, login, transport, channels."""

# Before any module here imports paramiko, which imports invoke, too.
from botdeploy.hosts.ssh import fabric_import as fabric_import
