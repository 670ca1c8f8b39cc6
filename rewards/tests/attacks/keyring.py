# Attempts: to read keys of the user
# Ends: Forbidden(keyctl)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
import platform
libc.syscall(250 if platform.machine() == 'x86_64' else 219, 0, -4, 1)
print('ESCAPED')
