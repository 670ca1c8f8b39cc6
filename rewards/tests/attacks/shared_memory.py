# Attempts: to share memory with another test
# Ends: Exited
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import platform
numbers = (29, 64, 68) if platform.machine() == 'x86_64' else (194, 190, 186)
for number in numbers:
    if libc.syscall(number, 4711, 4096, 0o1777) >= 0:
        print('ESCAPED')
try:
    from multiprocessing import shared_memory
    shared_memory.SharedMemory('attack', create=True, size=4096)
    print('ESCAPED')
except (OSError, ImportError):
    pass
