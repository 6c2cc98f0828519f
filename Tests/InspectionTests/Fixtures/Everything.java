import java.io.*;
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

/** What programs do, once interpreted and once compiled. Prints the same each time. */
public class Everything {
  interface Shape { double area(); }
  record Square(double a) implements Shape { public double area() { return a * a; } }
  record Circle(double r) implements Shape { public double area() { return 3 * r * r; } }

  static int depth(int n, Callable<Integer> end) throws Exception { return n == 0 ? end.call() : 1 + depth(n - 1, end); }

  static int process() {
    try {
      Process p = new ProcessBuilder("/bin/echo", "hello").start();
      String line = new BufferedReader(new InputStreamReader(p.getInputStream())).readLine();
      return p.waitFor() + line.length();
    } catch (Exception e) { throw new RuntimeException(e); }
  }

  static long hot(int n) throws Exception {
    long sum = 0;
    for (int i = 0; i < n; i++) {
      Shape s = i % 3 == 0 ? new Square(i) : new Circle(i);
      sum += (long) s.area() % 7;
      if (i % 50_000 == 49_999) sum += process() + files(1);
    }
    return sum;
  }

  static int files(int n) throws IOException {
    int total = 0;
    for (int i = 0; i < n; i++) {
      Path p = Files.createTempFile("callgate", ".txt");
      Files.writeString(p, "line " + i);
      try (FileChannel c = FileChannel.open(p, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        MappedByteBuffer b = c.map(FileChannel.MapMode.READ_WRITE, 0, 4096);
        b.put(0, (byte) 1);
        total += b.get(0);
      }
      try (RandomAccessFile f = new RandomAccessFile(p.toFile(), "r")) { total += f.read(); }
      Files.delete(p);
    }
    return total;
  }

  static int thrown(int n) {
    int caught = 0;
    for (int i = 0; i < n; i++) {
      try {
        Object o = i % 2 == 0 ? null : "x";
        if (o.hashCode() == 0) caught += 2;
        int[] a = new int[1];
        a[i % 2 * 5] = 1;
      } catch (NullPointerException | ArrayIndexOutOfBoundsException e) { caught++; }
    }
    return caught;
  }

  static int sockets() throws Exception {
    try (ServerSocket server = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
      Thread t = new Thread(() -> {
        try (Socket s = server.accept()) { s.getOutputStream().write(42); } catch (IOException e) { throw new UncheckedIOException(e); }
      });
      t.start();
      try (Socket s = new Socket(server.getInetAddress(), server.getLocalPort())) {
        int got = s.getInputStream().read();
        t.join();
        return got;
      }
    }
  }

  static int overflow(int n) { return n < 0 ? 0 : overflow(n + 1) + 1; }

  public static void main(String[] arguments) throws Exception {
    System.out.println(process() + " " + files(3) + " " + sockets());
    System.out.println(hot(200_000) + " " + thrown(40_000));
    ExecutorService pool = Executors.newFixedThreadPool(4);
    List<Future<Integer>> all = new ArrayList<>();
    for (int i = 0; i < 8; i++) { int d = i * 20; all.add(pool.submit(() -> depth(d, Everything::process))); }
    int sum = 0;
    for (Future<Integer> f : all) sum += f.get();
    pool.shutdown();
    System.out.println(sum);
    List<byte[]> garbage = new ArrayList<>();
    for (int i = 0; i < 20_000; i++) { garbage.add(new byte[10_000]); if (garbage.size() > 500) garbage.clear(); }
    System.gc();
    System.out.println(IntStream.range(0, 100).parallel().map(i -> i * 2).sum() + " " + Stream.of("b", "a").sorted().collect(Collectors.joining()));
    try { System.out.println(overflow(0)); } catch (StackOverflowError e) { System.out.println("overflow " + process()); }
    Object proxied = java.lang.reflect.Proxy.newProxyInstance(Everything.class.getClassLoader(), new Class<?>[] {Shape.class}, (o, m, a) -> (double) process());
    System.out.println(((Shape) proxied).area());
    System.out.println(Everything.class.getDeclaredMethod("process").invoke(null));
    synchronized (garbage) { new Thread(() -> { synchronized (garbage) { garbage.notify(); } }).start(); garbage.wait(2000); }
  }
}
