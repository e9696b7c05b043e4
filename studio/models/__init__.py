"""Base models: finding, loading, tokenizers, chat templates, architectures, the starter model."""
