# Attempts: to raise an exception with a text of millions
# Ends: Exception Output
# Mode: calls
def solve(n): raise ValueError('x' * (1 << 24))
