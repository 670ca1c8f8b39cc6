# Attempts: to go on in a thread when the program is over
# Ends: TimeCpu
import threading
def loop():
    while True: pass
threading.Thread(target=loop).start()
