# Attempts: to be traced, to reset what a tracer may
# Ends: Forbidden(ptrace)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace(0, 0, 0, 0)
print('ESCAPED')
