"""Feedback: answers that people rate, correct and flag. Collected only where it was turned on, with personal data masked."""
