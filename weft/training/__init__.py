"""Training: compile, fit, evaluate and predict, their data and their progress."""
