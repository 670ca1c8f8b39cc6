# Attempts: to end in the middle of a call
# Ends: Exited
# Mode: calls
import os
def solve(n): os._exit(0)
