# Attempts: to watch what others do with files
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform
for number in (253, 294, 300) if platform.machine() == 'x86_64' else (26,):
    if number != 300 and libc.syscall(number, 0) >= 0:
        print('ESCAPED')
