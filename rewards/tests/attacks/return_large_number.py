# Attempts: to return a number of millions of digits
# Ends: Output
# Mode: calls
def solve(n): return 1 << (1 << 25)
