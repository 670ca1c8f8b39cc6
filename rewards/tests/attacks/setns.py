# Attempts: to enter namespaces of another process
# Ends: Forbidden(setns)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.setns(0, 0)
print('ESCAPED')
