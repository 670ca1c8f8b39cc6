# Attempts: to return a list that holds itself
# Ends: Exception
# Mode: calls
def solve(n):
    x = []
    x.append(x)
    return x
