# Attempts: a forbidden call from a thread, while the main one goes on
# Ends: Forbidden(unshare)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

import threading
threading.Thread(target=libc.unshare, args=(0x10000000,)).start()
while True:
    pass
