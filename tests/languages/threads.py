# Python: threads, pools of threads and processes, queues, event loops and socket pairs.
import asyncio, concurrent.futures, multiprocessing, os, queue, signal, socket, subprocess, sys
import threading, time


def square(number):
    return number * number


def count_up():
    global count
    for _ in range(5000):
        with lock:
            count += 1


threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(20)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(threading.active_count())
count, lock = 0, threading.Lock()
threads = [threading.Thread(target=count_up) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(count)

work, done = queue.Queue(), queue.Queue()


def worker():
    while (item := work.get()) is not None:
        done.put(item + 1)


thread = threading.Thread(target=worker)
thread.start()
[work.put(item) for item in (1, 2, 3, None)]
thread.join()
print([done.get() for _ in range(3)], done.empty())
event = threading.Event()
timer = threading.Timer(0.02, event.set)
timer.start()
print(event.wait(60), event.is_set())
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(square, range(1000))))
local = threading.local()
local.value = 1
thread = threading.Thread(target=lambda: print(hasattr(local, "value")))
thread.start()
thread.join()

# A child of a process with threads has one.
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
sys.stdout.flush()
if (child := os.fork()) == 0:
    os._exit(len(os.listdir("/proc/self/task")))
print("threads of the child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("threads", len(os.listdir("/proc/self/task")))
print(subprocess.run(["echo", "from a process with threads"], capture_output=True).stdout)
stop.set()
thread.join()

with multiprocessing.Pool(2) as pool:
    print(pool.map(square, range(10)))
results = multiprocessing.Queue()
process = multiprocessing.Process(target=results.put, args=([1, 2],))
process.start()
print(results.get())
process.join()
value = multiprocessing.Value("i", 0)


def add(value):
    for _ in range(100):
        with value.get_lock():
            value.value += 1


processes = [multiprocessing.Process(target=add, args=(value,)) for _ in range(3)]
[process.start() for process in processes]
[process.join() for process in processes]
print(value.value, process.exitcode)
here, there = multiprocessing.Pipe()
here.send({"sent": 1})
print(there.recv())


async def main():
    process = await asyncio.create_subprocess_exec("echo", "async", stdout=-1)
    print(await process.communicate())
    print(await asyncio.gather(*[asyncio.sleep(0.01, number) for number in range(5)]))
    print(await asyncio.to_thread(square, 7))
    loop = asyncio.get_running_loop()
    caught = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, caught.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await caught.wait()
    try:
        await asyncio.wait_for(asyncio.sleep(60), 0.01)
    except asyncio.TimeoutError:
        print("timed out")


asyncio.run(main())
left, right = socket.socketpair()
left.sendall(b"x" * 1000)
left.close()
print(len(b"".join(iter(lambda: right.recv(300), b""))))
print(os.cpu_count() == len(os.sched_getaffinity(0)))
