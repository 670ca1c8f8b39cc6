# Attempts: to reach processes by an abstract socket
# Ends: Exception
import socket
socket.socket(socket.AF_UNIX).bind('\0attack')
print('ESCAPED')
