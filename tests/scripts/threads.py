"""Threads of Python: queues, pools, locks, events, signals, processes."""
import concurrent.futures
import os
import queue
import signal
import subprocess
import sys
import threading
import time


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def squares():
    work, results = queue.Queue(), []

    def take():
        while (number := work.get()) is not None:
            results.append(number * number)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for number in [*range(1000), *[None] * 8]:
        work.put(number)
    run_all(threads)
    print("squares", sum(results), threading.active_count())


def count():
    lock, counter = threading.Lock(), [0]

    def add():
        for _ in range(20000):
            with lock:
                counter[0] += 1

    run_all([threading.Thread(target=add) for _ in range(4)])
    print("counter", counter[0])


def waits():
    event = threading.Event()
    threading.Timer(0.02, event.set).start()
    print("event", event.wait(10))
    barrier = threading.Barrier(3)
    run_all([threading.Thread(target=barrier.wait) for _ in range(3)])
    condition, semaphore = threading.Condition(), threading.Semaphore(1)
    with condition:
        print("condition", condition.wait(0.01))
    print("semaphore", semaphore.acquire(timeout=0.01), semaphore.acquire(timeout=0.01))


def preempted():
    done = threading.Event()

    def spin():
        while not done.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    time.sleep(0.05)
    done.set()
    thread.join()
    print("preempted")


def signals():
    in_main = []
    signal.signal(
        signal.SIGALRM,
        lambda *_: in_main.append(threading.current_thread() is threading.main_thread()),
    )
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    run_all([threading.Thread(target=time.sleep, args=(0.2,))])
    print("alarm", in_main)


def processes():
    pid = os.fork()
    if pid == 0:
        os._exit(threading.active_count() + 2)
    print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def child(number):
        command = [sys.executable, "-c", f"print({number})"]
        return subprocess.run(command, capture_output=True).stdout

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(list(pool.map(child, range(4))))


squares()
count()
waits()
preempted()
signals()
processes()
