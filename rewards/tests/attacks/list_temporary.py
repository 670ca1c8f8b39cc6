# Attempts: to see what others keep in /tmp
# Ends: Exited Exception
import os
if os.listdir('/tmp'):
    print('ESCAPED')
