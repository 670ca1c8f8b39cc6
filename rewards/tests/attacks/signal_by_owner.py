# Attempts: to have the kernel send a signal for it
# Ends: Exited
import fcntl, os
try:
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())
    print('ESCAPED')
except OSError:
    pass
