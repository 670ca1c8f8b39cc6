# Attempts: to reach the network
# Ends: Exception
import socket
socket.create_connection(('127.0.0.1', 22), 1)
print('ESCAPED')
