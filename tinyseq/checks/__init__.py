"""`tinyseq check`: cells, models, functions and gradients from elsewhere, checked and reported.

`command.run(CheckOptions(...))` runs it; nothing heavy is imported before that.
"""
