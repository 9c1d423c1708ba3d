# check: a preflight that changes nothing.
