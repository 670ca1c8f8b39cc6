# Attempts: to wait for what never comes
# Ends: TimeWall
import os; r, w = os.pipe(); os.read(r, 1)
