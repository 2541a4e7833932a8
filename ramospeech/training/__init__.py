"""How a model learns: the trainer, its hooks, a run in a folder, several processes.

May import `evaluation` and all below it.
"""
