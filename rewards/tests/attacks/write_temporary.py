# Attempts: to write a file where it was not given any
# Ends: Exception
open('/tmp/x', 'w').write('x'); print('ESCAPED')
