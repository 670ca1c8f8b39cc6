# Attempts: to take all threads
# Ends: Exception Memory Exited TimeCpu TimeWall
import threading, time
threading.stack_size(1 << 16)
n = 0
try:
    for n in range(100_000):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
except RuntimeError:
    pass
print('ESCAPED' if n > 20_000 else '')
