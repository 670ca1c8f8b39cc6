# Attempts: to compute for ever in a call
# Ends: TimeCpu
# Mode: calls
def solve(n):
    while True: pass
