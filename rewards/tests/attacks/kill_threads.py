# Attempts: to kill by the number of a thread
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform, signal
tkill, tgkill = (200, 234) if platform.machine() == 'x86_64' else (130, 131)
parent = os.getppid()
if libc.syscall(tkill, parent, 9) == 0 or libc.syscall(tgkill, parent, parent, 9) == 0:
    print('ESCAPED')
if libc.sigqueue(parent, 9, 0) == 0:
    print('ESCAPED')
