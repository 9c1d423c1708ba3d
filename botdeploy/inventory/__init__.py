"""Inventories in Ansible's forms, with file and line in every error."""
