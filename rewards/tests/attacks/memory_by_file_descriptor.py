# Attempts: to take memory by a file in it
# Ends: Exception
import os; os.ftruncate(os.memfd_create('x'), 1 << 40); print('ESCAPED')
