# Attempts: to reach the kernel by its cipher sockets
# Ends: Exception
import socket
socket.socket(38, socket.SOCK_SEQPACKET)
print('ESCAPED')
