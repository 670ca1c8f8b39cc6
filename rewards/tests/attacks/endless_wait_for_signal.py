# Attempts: to wait for a signal with all of them blocked
# Ends: TimeWall
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
signal.pause()
