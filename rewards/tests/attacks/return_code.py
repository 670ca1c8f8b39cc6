# Attempts: to return compiled code
# Ends: Exception(NotPlain)
# Mode: calls
def solve(n): return solve.__code__
