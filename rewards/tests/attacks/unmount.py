# Attempts: to take the walls down
# Ends: Forbidden(umount2)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.umount2(b'/tmp', 2)
print('ESCAPED')
