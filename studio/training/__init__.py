"""The training loop, adapters, loss, optimizers, checkpoints."""
