"""Models as ExecuTorch programs (.pte) with XNNPACK kernels, for phones: lowered, and asked in ExecuTorch's own runtime."""

PACKAGES = ("executorch", "torchao", "pytorch_tokenizers")
"""What the extra `executorch` brings."""
