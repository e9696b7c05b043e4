"""Models as GGUF files: written, quantised and run with llama.cpp."""
