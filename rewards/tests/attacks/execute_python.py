# Attempts: to become a fresh interpreter without a harness
# Ends: Exception
import os, sys; os.execv(sys.executable, ['python', '-c', 'print("ESCAPED")'])
