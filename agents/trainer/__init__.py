"""The trainer: publishes a model, and sees to its fees."""
