# Attempts: to find a descriptor that was left open
# Ends: Exited
import os
for fd in range(4, 1024):
    try:
        os.fstat(fd)
        print('ESCAPED', fd)
    except OSError:
        pass
