# Attempts: to keep the tests waiting
# Ends: TimeCpu
# Mode: pair
def solve(n):
    while True: pass
