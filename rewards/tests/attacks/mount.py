# Attempts: to mount a file system
# Ends: Forbidden(mount)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.mount(b'proc', b'/tmp', b'proc', 0, None)
print('ESCAPED')
