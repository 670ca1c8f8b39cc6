# Attempts: to offer a service
# Ends: Exception
import socket
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()
print('ESCAPED')
