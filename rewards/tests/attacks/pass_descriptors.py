# Attempts: to pass descriptors through a pair of sockets
# Ends: Exception
import socket
one, other = socket.socketpair()
socket.send_fds(one, [b'x'], [0])
print('ESCAPED')
