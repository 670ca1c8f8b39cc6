# Attempts: to ignore the signal of the limit on processor time
# Ends: TimeCpu
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True: pass
