# Attempts: to trace its zygote
# Ends: Forbidden(ptrace)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace(16, os.getppid(), 0, 0)
print('ESCAPED')
