"""Acts on a host: arguments in, parsed outcome back."""
