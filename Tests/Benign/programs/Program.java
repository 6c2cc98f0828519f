// Java: code that is interpreted and compiled, threads, exceptions, processes, files and sockets.
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class Program {
  static void probe() {
    if (!new File("/").exists()) throw new IllegalStateException();
  }

  static int deep(int levels) {
    if (levels == 0) {
      probe();
      return 0;
    }
    return deep(levels - 1) + 1;
  }

  static int hot(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) {
      sum = sum * 31 + i;
      if (i % 20000 == 0) probe();
    }
    return sum;
  }

  static int throwing(int n) {
    try {
      if (n == 0) throw new IllegalArgumentException();
      return throwing(n - 1) + 1;
    } finally {
      probe();
    }
  }

  static long files() throws IOException {
    Path folder = Files.createTempDirectory(Path.of("."), "j");
    for (int n = 0; n < 100; n++) Files.writeString(folder.resolve("" + n), "x".repeat(n));
    long total = 0;
    try (Stream<Path> all = Files.list(folder)) {
      for (Path file : all.collect(Collectors.toList())) {
        total += Files.size(file);
        Files.delete(file);
      }
    }
    Files.delete(folder);
    return total;
  }

  static int conversation(int rounds) throws Exception {
    try (ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
      Thread thread = new Thread(() -> {
        for (int n = 0; n < rounds; n++) {
          try (Socket caller = server.accept()) {
            caller.getOutputStream().write(caller.getInputStream().readNBytes(5));
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        }
      });
      thread.start();
      int total = 0;
      for (int n = 0; n < rounds; n++) {
        try (Socket caller = new Socket(server.getInetAddress(), server.getLocalPort())) {
          caller.getOutputStream().write("hello".getBytes());
          total += caller.getInputStream().readAllBytes().length;
        }
      }
      thread.join();
      return total;
    }
  }

  public static void main(String[] arguments) throws Exception {
    System.out.println(deep(100) + " " + hot(2000000) + " " + files());
    int caught = 0;
    for (int n = 0; n < 20; n++) {
      try {
        throwing(n);
      } catch (IllegalArgumentException error) {
        caught++;
      }
    }
    System.out.println(caught);
    ExecutorService pool = Executors.newFixedThreadPool(4);
    List<Future<Integer>> parts = new ArrayList<>();
    for (int n = 0; n < 20; n++) {
      int levels = n * 10;
      parts.add(pool.submit(() -> deep(levels) + hot(100000) % 7));
    }
    int sum = 0;
    for (Future<Integer> part : parts) sum += part.get();
    pool.shutdown();
    System.out.println(sum);
    System.out.println(IntStream.range(0, 1000).parallel().map(n -> n * 2).sum());
    Process child = new ProcessBuilder("echo", "from a child").start();
    System.out.println(new String(child.getInputStream().readAllBytes()).trim() + " " + child.waitFor());
    System.out.println(conversation(20));
    System.gc();
    System.exit(4);
  }
}
