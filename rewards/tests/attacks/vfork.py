# Attempts: to be two by the raw call
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform
if platform.machine() == 'x86_64':
    for number in (57, 58):
        if libc.syscall(number) >= 0:
            os.write(1, b'ESCAPED')
            os._exit(0)
