# Attempts: to compute in processes
# Ends: Exited Exception
import multiprocessing
if __name__ == '__main__':
    with multiprocessing.Pool(2) as pool:
        print('ESCAPED', pool.map(abs, [1]))
