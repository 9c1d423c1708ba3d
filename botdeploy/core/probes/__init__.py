"""Answers of a running bot, as log lines for the judge."""
