"""Training a model: the trainer and its hooks, runs in folders, several processes.

May import `evaluation` and all packages below it.
"""
