# Attempts: to sleep for ever
# Ends: TimeWall
import time; time.sleep(10 ** 6)
