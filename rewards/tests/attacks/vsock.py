# Attempts: to reach the host of a virtual machine
# Ends: Exception
import socket
socket.socket(40, socket.SOCK_STREAM)
print('ESCAPED')
