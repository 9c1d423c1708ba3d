"""Ways to roll a release out: botdeploy, and what others use."""
