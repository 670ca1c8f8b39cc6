# Attempts: to load machine code it wrote to a file
# Ends: Exited Exception
# Files: yes
import ctypes, _ctypes, os, shutil
# A library that exists, copied where the program can write: to be mapped for execution from there.
shutil.copyfile(_ctypes.__file__, '/tmp/library.so')
ctypes.CDLL('/tmp/library.so')
print('ESCAPED')
