# Attempts: to send messages without end
# Ends: TimeCpu TimeWall Output Exited
import os
while True: os.write(3, (b'\1\0\0\0N') * 10000)
