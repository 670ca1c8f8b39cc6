# Attempts: to be two
# Ends: Exception
import os; os.fork(); print('ESCAPED')
