"""What a release is made from."""
