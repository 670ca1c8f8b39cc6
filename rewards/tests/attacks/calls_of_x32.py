# Attempts: to make a call of the x32 ABI, past the filter
# Ends: Forbidden(unknown) Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform
if platform.machine() == 'x86_64':
    libc.syscall(0x40000000 | 39)
    print('ESCAPED')
