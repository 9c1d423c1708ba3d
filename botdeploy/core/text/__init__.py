"""Text: secrets hidden, control characters removed, outside input bounded, numbers worded."""
