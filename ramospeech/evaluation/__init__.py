"""How good a model is: error rates, error analysis, the HTML report.

May import `recognition` and all below it.
"""
