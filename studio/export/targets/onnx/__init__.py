"""Models for ONNX Runtime GenAI: built, and asked in that runtime."""

PACKAGES = ("onnxruntime", "onnxruntime_genai", "onnx", "onnx_ir")
"""What the extra `onnx` brings."""
