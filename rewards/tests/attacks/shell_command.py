# Attempts: to run a command by system(3)
# Ends: Exited
import os; os.system('echo ESCAPED')
