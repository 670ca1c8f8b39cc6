# Attempts: to run a command by posix_spawn
# Ends: Exception
import os; os.posix_spawn('/bin/echo', ['echo', 'ESCAPED'], {})
