# Attempts: to stop the machine
# Ends: Forbidden(reboot)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.reboot(0)
print('ESCAPED')
