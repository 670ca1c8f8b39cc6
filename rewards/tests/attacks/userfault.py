# Attempts: to stop the kernel at a page fault
# Ends: Forbidden(userfaultfd)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
import platform
libc.syscall(323 if platform.machine() == 'x86_64' else 282, 0)
print('ESCAPED')
