# Attempts: to read a file of the host
# Ends: Exception
print(open('/etc/passwd').read(), 'ESCAPED')
