# Attempts: to return what grows when it is written
# Ends: Memory TimeCpu Output
# Mode: calls
def solve(n):
    x = [0]
    for _ in range(60): x = [x, x]
    return x
