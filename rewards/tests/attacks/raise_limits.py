# Attempts: to raise its limits
# Ends: Exited
import resource
names = [name for name in dir(resource) if name.startswith('RLIMIT_')]
for name in names:
    soft, hard = resource.getrlimit(getattr(resource, name))
    if hard == resource.RLIM_INFINITY:
        continue
    for value in (hard + 1, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
            print('ESCAPED', name)
        except (ValueError, OSError):
            pass
