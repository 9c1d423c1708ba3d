"""What a release is made from: a folder, a git commit, an archive or a wheel becomes a tree."""
