# Attempts: to take capabilities back
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
all_of_them = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
if libc.syscall(126 if platform.machine() == 'x86_64' else 91, header, all_of_them) == 0:
    print('ESCAPED')
