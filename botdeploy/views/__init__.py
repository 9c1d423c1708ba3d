"""Turns values and events into text: sentences, tables, JSON, notices, the report page."""
