# Attempts: to make a thread in new namespaces
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform
number = 56 if platform.machine() == 'x86_64' else 220
for flags in (0x10000000, 0x10000000 | 0x11, 0x20000000 | 0x10f00, 0x00020000, 0x11):
    if libc.syscall(number, ctypes.c_ulong(flags), 0, 0, 0, 0) >= 0:
        os.write(1, b'ESCAPED')
        os._exit(0)
