"""What every actor asks of the market: the contracts, read with types, and models, from their names to
verified files.
"""
