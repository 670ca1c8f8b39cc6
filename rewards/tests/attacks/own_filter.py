# Attempts: to install a filter of its own
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform
program = (ctypes.c_uint64 * 2)()
number = 317 if platform.machine() == 'x86_64' else 277
for operation, flags in ((1, 0), (1, 8), (0, 0)):
    if libc.syscall(number, operation, flags, program) >= 0:
        print('ESCAPED')
