# Attempts: to climb out of the library by `..`
# Ends: Exception
import os
path = os.path.dirname(os.__file__) + '/../../../../../../../../../etc/hostname'
print(open(path).read(), 'ESCAPED')
