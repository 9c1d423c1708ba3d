"""Echobot: answers chat messages and sends reminders, from a queue that outlives restarts."""

__version__ = "1"
