# Attempts: to confuse who reads its channel
# Ends: Exited
import os
for data in (b'\0\0\0\0', b'\1\0\0\0c', b'\5\0\0\0[\xff\xff\xff\x7f', b'\4\0\0\0zzzz', b'\2\0\0'):
    os.write(3, data)
