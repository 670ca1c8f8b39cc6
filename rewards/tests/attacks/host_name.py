# Attempts: to rename the machine
# Ends: Forbidden(sethostname)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.sethostname(b'mine', 4)
print('ESCAPED')
