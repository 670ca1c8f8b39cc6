# Attempts: to use more processors than one
# Ends: TimeCpu
import hashlib, threading
def work():
    data = bytes(1 << 20)
    while True: hashlib.sha256(data)
for _ in range(8): threading.Thread(target=work).start()
