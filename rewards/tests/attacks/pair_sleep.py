# Attempts: to keep the tests sleeping
# Ends: TimeWall
# Mode: pair
import time
def solve(n): time.sleep(1000)
