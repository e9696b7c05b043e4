"""The machine, and the model of memory and speed."""
