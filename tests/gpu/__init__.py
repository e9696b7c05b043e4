"""A GPU without one: torch's CUDA calls on the CPU, the driver's library, and full-size steps on tensors without data."""
