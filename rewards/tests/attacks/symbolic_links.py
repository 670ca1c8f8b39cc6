# Attempts: to reach a file by a link
# Ends: Exited Exception
# Files: yes
import os
os.symlink('/etc/passwd', '/tmp/link')
print(open('/tmp/link').read(), 'ESCAPED')
