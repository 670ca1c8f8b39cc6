# Attempts: to open a file by its handle, past all directories
# Ends: Forbidden(open_by_handle_at)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

libc.open_by_handle_at(-100, ctypes.create_string_buffer(64), 0)
print('ESCAPED')
