# Attempts: to speak as the harness would
# Ends: Exited
import marshal, os
for message in (('ready',), ('loaded',), ('passed',), ('value', 1, None), ('raise', 'X', 'x'), ('compile', 'x'), ('unfit', '', '')):
    data = marshal.dumps(message, 2)
    os.write(3, len(data).to_bytes(4, 'little') + data)
