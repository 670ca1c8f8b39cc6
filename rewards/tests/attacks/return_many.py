# Attempts: to return a value that is small to write and large to hold
# Ends: Exception(NotPlain) Memory Output
# Mode: calls
def solve(n): return [None] * (1 << 22)
