# Attempts: to close the channel
# Ends: Exited
import os
os.close(3)
