"""Studio: turn your own data into a small language model that is proven better, and serve it."""
