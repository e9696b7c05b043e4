"""Feedback: answers of models that people rate, correct and flag; collected only where it was turned on, personal data masked."""
