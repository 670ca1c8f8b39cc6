# Attempts: to send a packet through a pair of sockets to whoever listens on this machine
# Ends: Exited Exception
import os, socket
for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    try:
        socket.socketpair(socket.AF_UNIX, kind)
        print('ESCAPED')
    except OSError:
        pass
one, other = socket.socketpair()
for address in ('/dev/log', '/run/systemd/notify', '\0attack'):
    try:
        one.sendto(b'x', address)
        print('ESCAPED')
    except OSError:
        pass
