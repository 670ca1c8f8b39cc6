# Attempts: to load a program into the kernel
# Ends: Forbidden(bpf)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
import platform
libc.syscall(321 if platform.machine() == 'x86_64' else 280, 5, 0, 0)
print('ESCAPED')
