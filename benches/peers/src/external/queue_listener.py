"""Python's QueueHandler and QueueListener, with a file.

Takes the arguments of src/job.rs and prints what src/case/mod.rs tells of.
"""

import logging
import logging.handlers
import queue
import sys
import threading
import time

WARM_UP = 40
QUEUE = 8192


class Queue(logging.handlers.QueueHandler):
    """Counts what it has no room for, where the original prints a traceback for each; or waits for room."""

    def __init__(self, records, waits):
        super().__init__(records)
        self.waits = waits
        self.lost = 0

    def enqueue(self, record):
        if self.waits:
            self.queue.put(record)
        else:
            self.queue.put_nowait(record)

    def handleError(self, record):
        self.lost += 1


def calls_of(log, shape, text):
    clock = time.monotonic_ns
    return {
        "numbers": lambda i: log.info("filled %d of %d at %s", i, i >> 1, i * 0.25),
        "text": lambda i: log.info("said %s", text),
        "fields": lambda i: log.info("request id=%d method=%s path=%s status=%d", i, "GET", text, 200),
        "stamp": lambda i: log.info("filled %d of %d at %s", clock(), i >> 1, i * 0.25),
    }[shape]


def latency(call, threads, calls, burst, pause_us):
    sleeps = threads > 1 or burst == 1
    bursts, firsts, singles = [], [], []
    clock = time.perf_counter_ns

    def pause():
        if sleeps:
            return time.sleep(pause_us / 1e6)
        end = clock() + pause_us * 1000
        while clock() < end:
            pass

    def run():
        for i in range(WARM_UP):
            call(i)
        time.sleep(0.02)
        for n in range(calls // burst):
            pause()
            if n % 2 == 0 and burst > 1:
                began = clock()
                for i in range(burst):
                    call(i)
                bursts.append((clock() - began) / burst)
                continue
            for i in range(burst):
                began = clock()
                call(i)
                took = clock() - began
                if i == 0:
                    firsts.append(took)
                singles.append(took)

    on_threads(threads, run)
    for name, samples in (("burst", bursts), ("first", firsts), ("call", singles)):
        print(name, *(f"{sample:.1f}" for sample in samples))


def on_threads(count, run):
    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def flat_out(call, threads, calls):
    def run():
        for i in range(calls):
            call(i)

    on_threads(threads, run)


def disabled(log, calls):
    def fastest(call):
        took = []
        for _ in range(5):
            began = time.perf_counter_ns()
            for i in range(calls):
                call(i)
            took.append((time.perf_counter_ns() - began) / calls)
        return min(took)

    called = fastest(lambda i: log.debug("filled %d of %d at %s", i, i >> 1, i))
    print(f"call {called - fastest(lambda i: None):.1f}")


def main():
    kind, full, shape, threads, calls, burst, pause_us, length, path = sys.argv[1:]
    threads, calls, burst, pause_us, length = map(int, (threads, calls, burst, pause_us, length))
    some = "a string of so many bytes as were asked for, "
    text = (some * (length // len(some) + 1))[:length]
    handler = Queue(queue.Queue(QUEUE), full == "wait")
    file = logging.FileHandler(path)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    listener = logging.handlers.QueueListener(handler.queue, file)
    log = logging.getLogger("peers")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    listener.start()
    began = time.perf_counter()
    if kind == "latency":
        latency(calls_of(log, shape, text), threads, calls, burst, pause_us)
    elif kind == "flat_out":
        flat_out(calls_of(log, shape, text), threads, calls)
    else:
        disabled(log, calls)
    called = time.perf_counter() - began
    if full == "drop":
        # Its end is a record of its own, which finds no room in a full queue.
        while handler.queue.full():
            time.sleep(0.001)
    listener.stop()
    file.close()
    print(f"seconds {time.perf_counter() - began}\ncall_seconds {called}")
    print("lost", handler.lost)
    with open("/proc/self/status") as status:
        print("peak_kib", next(line.split()[1] for line in status if line.startswith("VmHWM:")))


main()
