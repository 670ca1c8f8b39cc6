# Attempts: to cancel the timers of a harness
# Ends: TimeCpu
import signal
signal.alarm(0)
for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF): signal.setitimer(timer, 0)
while True: pass
