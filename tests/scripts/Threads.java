import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Threads of Java: a pool, garbage collection, a fault that is an exception, processes. */
public class Threads {
    static Object nothing;

    static long sum(int factor) {
        long sum = 0;
        for (int i = 0; i < 100_000; i++) sum += (long) i * factor;
        return sum;
    }

    static void pool() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> futures = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            final int factor = i;
            futures.add(pool.submit(() -> sum(factor)));
        }
        long sum = 0;
        for (Future<Long> future : futures) sum += future.get();
        pool.shutdown();
        System.out.println("pool " + sum + " " + pool.awaitTermination(10, TimeUnit.SECONDS));
    }

    static void garbage() {
        List<byte[]> kept = new ArrayList<>();
        long made = 0;
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes = new byte[4096];
            made += bytes.length;
            if (i % 50 == 0) kept.add(bytes);
        }
        System.out.println("garbage " + made + " " + kept.size());
    }

    static void counter() throws Exception {
        AtomicInteger counter = new AtomicInteger();
        Thread[] threads = new Thread[8];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(() -> {
                for (int k = 0; k < 1000; k++) counter.incrementAndGet();
            });
            threads[i].start();
        }
        for (Thread thread : threads) thread.join();
        System.out.println("threads " + counter.get());
    }

    public static void main(String[] arguments) throws Exception {
        pool();
        garbage();
        counter();
        try {
            nothing.hashCode();
        } catch (NullPointerException exception) {
            System.out.println("null");
        }
        Process child = new ProcessBuilder("/bin/echo", "a child").inheritIO().start();
        System.out.println("status " + child.waitFor());
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
        System.out.println("timer " + timer.schedule(() -> 7, 20, TimeUnit.MILLISECONDS).get());
        timer.shutdown();
    }
}
