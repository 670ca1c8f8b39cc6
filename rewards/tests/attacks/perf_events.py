# Attempts: to count events of the machine
# Ends: Forbidden(perf_event_open)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
import platform
libc.syscall(298 if platform.machine() == 'x86_64' else 241, 0, 0, -1, -1, 0)
print('ESCAPED')
