# Attempts: to run a command
# Ends: Exception
import subprocess; print(subprocess.run(['echo', 'ESCAPED'], capture_output=True).stdout)
