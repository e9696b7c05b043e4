"""Core ML: an .mlpackage of the shared decoder whose cache is a state, in 16 or 4 bit."""
