"""Inventories in Ansible's forms, with file and line in every error."""

from botdeploy.inventory._fields import parse_duration
from botdeploy.inventory.find import environments
from botdeploy.inventory.loading import load, select
from botdeploy.inventory.required import load_required
from botdeploy.inventory.schema import schema

__all__ = ["environments", "load", "load_required", "parse_duration", "schema", "select"]
