"""Text: hides secrets, makes text of others safe, puts numbers and lists into words."""
