"""Renderings of events and values."""
