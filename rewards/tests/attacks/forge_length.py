# Attempts: to announce a message that never ends
# Ends: Output Exited
import os
os.write(3, b'\xff\xff\xff\xff')
os.write(3, bytes(1 << 16))
