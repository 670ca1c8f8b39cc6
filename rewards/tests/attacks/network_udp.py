# Attempts: to send a packet
# Ends: Exception
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))
print('ESCAPED')
