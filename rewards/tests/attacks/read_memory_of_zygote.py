# Attempts: to read the memory of its zygote
# Ends: Forbidden(process_vm_readv)
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)

here = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
libc.process_vm_readv(os.getppid(), here, 1, here, 1, 0)
print('ESCAPED')
