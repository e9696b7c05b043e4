"""Training methods: one file each, and its METHOD in this list. Spec, form, docs and the training loop read the list."""

from studio.training.methods import sft
from studio.training.methods.method import Method

METHODS: dict[str, Method] = {method.name: method for method in (sft.METHOD,)}
