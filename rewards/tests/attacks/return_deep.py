# Attempts: to return lists in lists without end
# Ends: Exception
# Mode: calls
def solve(n):
    x = []
    for _ in range(10 ** 5): x = [x]
    return x
