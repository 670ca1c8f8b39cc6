# Attempts: to ask the kernel about the network
# Ends: Exception
import socket
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
print('ESCAPED')
