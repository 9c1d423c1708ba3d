"""A method for each act of the host program: sends arguments, reads the answer."""
