import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/** Java talks to itself and to others: http, selectors, maps, processes, memory, faults. */
public class Services {
    static int[] nothing;
    static int depth;

    static void web() throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        var pool = Executors.newFixedThreadPool(4);
        server.setExecutor(pool);
        server.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            byte[] answer = (exchange.getRequestURI() + " " + body.length).getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
        String base = "http://127.0.0.1:" + server.getAddress().getPort() + "/";
        HttpClient client = HttpClient.newHttpClient();
        List<CompletableFuture<String>> answers = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            var body = HttpRequest.BodyPublishers.ofByteArray(new byte[i * 1000]);
            var request = HttpRequest.newBuilder(URI.create(base + i)).POST(body).build();
            answers.add(client.sendAsync(request, HttpResponse.BodyHandlers.ofString())
                .thenApply(HttpResponse::body));
        }
        for (var answer : answers) System.out.print(answer.get() + ", ");
        System.out.println();
        server.stop(0);
        pool.shutdown();
    }

    static void selector() throws Exception {
        Selector selector = Selector.open();
        ServerSocketChannel server = ServerSocketChannel.open();
        server.bind(new InetSocketAddress("127.0.0.1", 0)).configureBlocking(false);
        server.register(selector, SelectionKey.OP_ACCEPT);
        var address = server.getLocalAddress();
        Thread client = new Thread(() -> {
            try (SocketChannel channel = SocketChannel.open(address)) {
                channel.write(ByteBuffer.wrap(new byte[100_000]));
            } catch (Exception exception) {
                exception.printStackTrace();
            }
        });
        client.start();
        long total = 0;
        for (boolean open = true; open; ) {
            selector.select();
            for (var keys = selector.selectedKeys().iterator(); keys.hasNext(); ) {
                SelectionKey key = keys.next();
                keys.remove();
                if (key.isAcceptable()) {
                    SocketChannel channel = server.accept();
                    channel.configureBlocking(false);
                    channel.register(selector, SelectionKey.OP_READ);
                } else {
                    int read = ((SocketChannel) key.channel()).read(ByteBuffer.allocate(8192));
                    open = read >= 0;
                    total += Math.max(read, 0);
                }
            }
        }
        client.join();
        System.out.println("selector " + total);
    }

    static void files() throws Exception {
        Path directory = Files.createTempDirectory("java");
        Path file = directory.resolve("file");
        var options = List.of(StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
        try (FileChannel channel = FileChannel.open(file, options.toArray(new StandardOpenOption[0]))) {
            var map = channel.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20);
            for (int i = 0; i < 1 << 20; i += 4) map.putInt(i, i);
            map.force();
            try (var lock = channel.lock()) {
                System.out.println("map " + Files.size(file) + " " + lock.isValid());
            }
            channel.truncate(10);
        }
        Files.move(file, directory.resolve("moved"));
        Files.createSymbolicLink(directory.resolve("link"), Path.of("moved"));
        try (var walk = Files.walk(directory)) {
            System.out.println(walk.map(path -> directory.relativize(path).toString()).sorted().toList());
        }
        try (var walk = Files.walk(directory)) {
            for (Path path : walk.sorted(Comparator.reverseOrder()).toList()) Files.delete(path);
        }
    }

    static void processes() throws Exception {
        Process sort = new ProcessBuilder("sort", "-n").start();
        try (OutputStream input = sort.getOutputStream()) {
            input.write("3\n1\n2\n".getBytes());
        }
        System.out.println(List.of(new String(sort.getInputStream().readAllBytes()).split("\n")));
        Process shell = new ProcessBuilder("sh", "-c", "echo $WORD; echo err >&2; exit 3")
            .redirectErrorStream(true).directory(new java.io.File("/tmp")).start();
        System.out.println(new String(shell.getInputStream().readAllBytes()) + shell.waitFor());
        Process sleeper = new ProcessBuilder("sleep", "100").start();
        sleeper.destroy();
        System.out.println("destroyed " + sleeper.waitFor() + " " + sleeper.toHandle().isAlive());
        System.out.println(ProcessHandle.current().pid() == Long.parseLong(
            Path.of("/proc/self").toRealPath().getFileName().toString()));
        try {
            new ProcessBuilder("/nowhere/program").start();
        } catch (java.io.IOException exception) {
            System.out.println(exception.getMessage());
        }
    }

    static void memory() throws Exception {
        var maps = new ConcurrentHashMap<Integer, byte[]>();
        IntStream.range(0, 60_000).parallel().forEach(i -> maps.put(i % 512, new byte[i % 5000 + 100]));
        System.out.println("maps " + maps.size());
        List<byte[]> all = new ArrayList<>();
        try {
            for (;;) all.add(new byte[1 << 20]);
        } catch (OutOfMemoryError error) {
            int count = all.size();
            all.clear();
            System.out.println("full " + (count > 20));
        }
        ByteBuffer direct = ByteBuffer.allocateDirect(8 << 20);
        System.out.println("direct " + direct.putLong(1 << 20, 7).getLong(1 << 20));
    }

    static void dive() {
        depth++;
        dive();
    }

    static int faults() {
        int caught = 0;
        for (int i = 0; i < 30_000; i++) {
            try {
                caught += (i % 3 == 0 ? nothing : new int[1]).length;
            } catch (NullPointerException exception) {
                caught += 2;
            }
        }
        for (int i = 0; i < 3; i++) {
            try {
                dive();
            } catch (StackOverflowError error) {
                caught += depth > 500 ? 1 : 0;
            }
        }
        try {
            caught /= caught - caught;
        } catch (ArithmeticException exception) {
            caught += 1;
        }
        return caught;
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("faults " + faults());
        memory();
        files();
        processes();
        selector();
        web();
        Thread stuck = new Thread(() -> {
            for (long i = 0; ; i++) if (i < 0) System.out.println();
        });
        stuck.setDaemon(true);
        stuck.start();
        System.gc();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("the end")));
        TimeUnit.MILLISECONDS.sleep(50);
        System.exit(5);
    }
}
