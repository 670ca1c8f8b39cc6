# Attempts: to return more than it may
# Ends: Output Memory Exception(NotPlain)
# Mode: calls
def solve(n): return 'x' * (1 << 26)
