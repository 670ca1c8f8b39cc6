# Attempts: to go on while the interpreter ends
# Ends: TimeCpu
import atexit
@atexit.register
def loop():
    while True: pass
