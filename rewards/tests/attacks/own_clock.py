# Attempts: to change the clock by which it is measured
# Ends: TimeCpu
import time
time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
while True: pass
