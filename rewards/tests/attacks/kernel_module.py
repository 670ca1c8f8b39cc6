# Attempts: to load a kernel module
# Ends: Forbidden(init_module)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
import platform
libc.syscall(175 if platform.machine() == 'x86_64' else 105, 0, 0, b'')
print('ESCAPED')
