# Attempts: to fill the file system
# Ends: Exception
# Files: yes
# Level: namespaces
with open('/tmp/x', 'wb') as file:
    while True: file.write(bytes(1 << 20))
