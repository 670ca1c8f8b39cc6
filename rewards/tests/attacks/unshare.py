# Attempts: to get namespaces, and capabilities in them
# Ends: Forbidden(unshare)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.unshare(0x10000000 | 0x00020000)
print('ESCAPED')
