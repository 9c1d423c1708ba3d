"""Inventories in Ansible's forms, with file and line in every error."""

from botdeploy.inventory._fields import parse_duration
from botdeploy.inventory.find import environments
from botdeploy.inventory.loading import load, select
from botdeploy.inventory.schema import schema

__all__ = ["environments", "load", "parse_duration", "schema", "select"]
