# Attempts: to become a shell
# Ends: Exception
import os; os.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED'])
