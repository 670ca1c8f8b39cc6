# Attempts: to move its root
# Ends: Forbidden(chroot)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.chroot(b'/tmp')
print('ESCAPED')
