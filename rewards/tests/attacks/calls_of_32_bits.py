# Attempts: to make a call of another architecture, past the filter
# Ends: Forbidden(unknown) Exited Signal
import ctypes, mmap, os, platform
if platform.machine() != 'x86_64':
    os._exit(0)
# mov eax, 20 (getpid of i386); int 0x80; ret
code = b'\xb8\x14\x00\x00\x00\xcd\x80\xc3'
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(code)
call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
print('ESCAPED' if call() > 0 else '')
