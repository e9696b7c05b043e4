"""Kinds of answers, one file each: how references of that kind are recognised, and the figures that fit them."""
