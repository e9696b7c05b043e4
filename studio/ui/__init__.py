"""The web studio: Gradio pages over the use cases of `app`."""
