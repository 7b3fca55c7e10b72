"""Make a model smaller and faster: 8-bit integers, fewer channels, a smaller student, thinner convolutions.

Each method makes a new bundle beside the old one, with a table of what was won and lost. Exports are made here, too.
"""
