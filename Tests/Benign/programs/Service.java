// Java as a service: HTTP with a pool of threads and many clients, TLS, child processes, NIO, and the libraries that come with JNI.
import com.sun.net.httpserver.HttpServer;
import java.awt.image.BufferedImage;
import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.file.*;
import java.security.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;
import java.util.zip.*;
import javax.crypto.*;
import javax.crypto.spec.*;
import javax.imageio.ImageIO;

public class Service {
  static byte[] packed(String text) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream stream = new GZIPOutputStream(bytes)) {
      stream.write(text.getBytes());
    }
    return bytes.toByteArray();
  }

  static String unpacked(byte[] bytes) throws IOException {
    try (GZIPInputStream stream = new GZIPInputStream(new ByteArrayInputStream(bytes))) {
      return new String(stream.readAllBytes());
    }
  }

  static String run(String... words) throws Exception {
    Process child = new ProcessBuilder(words).redirectErrorStream(true).start();
    String text = new String(child.getInputStream().readAllBytes()).trim();
    return text + " " + child.waitFor();
  }

  public static void main(String[] arguments) {
    try {
      work();
    } catch (Throwable error) {
      // Threads that wait would keep the process.
      error.printStackTrace();
      System.exit(1);
    }
  }

  static void work() throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 50);
    ExecutorService pool = Executors.newFixedThreadPool(4);
    server.setExecutor(pool);
    server.createContext("/text", exchange -> {
      String body = new String(exchange.getRequestBody().readAllBytes());
      byte[] answer = packed((exchange.getRequestURI().getPath() + body).repeat(50));
      exchange.sendResponseHeaders(200, answer.length);
      exchange.getResponseBody().write(answer);
      exchange.close();
    });
    server.createContext("/child", exchange -> {
      byte[] answer;
      try {
        answer = run("sh", "-c", "echo served by $((6 * 7))").getBytes();
      } catch (Exception error) {
        answer = error.toString().getBytes();
      }
      exchange.sendResponseHeaders(200, answer.length);
      exchange.getResponseBody().write(answer);
      exchange.close();
    });
    server.start();
    URI base = new URI("http://127.0.0.1:" + server.getAddress().getPort());
    HttpClient client = HttpClient.newHttpClient();
    AtomicLong total = new AtomicLong();
    ExecutorService callers = Executors.newFixedThreadPool(4);
    List<Future<?>> all = new ArrayList<>();
    for (int n = 0; n < 300; n++) {
      HttpRequest request = HttpRequest.newBuilder(base.resolve("/text/" + n)).POST(HttpRequest.BodyPublishers.ofString("body " + n)).build();
      all.add(callers.submit(() -> total.addAndGet(unpacked(client.send(request, HttpResponse.BodyHandlers.ofByteArray()).body()).length())));
    }
    for (Future<?> one : all) one.get();
    callers.shutdown();
    System.out.println(total.get());
    for (int n = 0; n < 3; n++) {
      HttpRequest request = HttpRequest.newBuilder(base.resolve("/child")).build();
      System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
    server.stop(0);
    pool.shutdown();

    KeyPairGenerator maker = KeyPairGenerator.getInstance("EC");
    maker.initialize(256);
    KeyPair pair = maker.generateKeyPair();
    Signature signature = Signature.getInstance("SHA256withECDSA");
    signature.initSign(pair.getPrivate());
    signature.update("text".getBytes());
    byte[] signed = signature.sign();
    signature.initVerify(pair.getPublic());
    signature.update("text".getBytes());
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(new byte[16], "AES"), new GCMParameterSpec(128, new byte[12]));
    System.out.println(signature.verify(signed) + " " + cipher.doFinal("text".getBytes()).length);

    Path file = Path.of("mapped");
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer mapped = channel.map(FileChannel.MapMode.READ_WRITE, 0, 4096);
      mapped.putLong(42);
      System.out.println(mapped.getLong(0) + " " + channel.size());
    }
    // Enough for every tier of the compiler, with a process started from compiled code.
    long sum = 0;
    for (int n = 0; n < 3000000; n++) {
      sum = sum * 31 + (n ^ sum >>> 7);
      if (n == 2500000) System.out.println(run("echo", "from a loop"));
    }
    System.out.println(sum + " " + IntStream.range(0, 100000).parallel().mapToLong(n -> n * 2L).sum());
    for (int n = 0; n < 3; n++) System.gc();
    // Libraries that load others when they are loaded.
    System.setProperty("java.awt.headless", "true");
    BufferedImage image = new BufferedImage(10, 10, BufferedImage.TYPE_INT_RGB);
    image.createGraphics().fillRect(1, 1, 5, 5);
    System.out.println(ImageIO.write(image, "png", new ByteArrayOutputStream()) + " " + image.getRGB(2, 2));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        System.out.println(run("echo", "from a hook"));
      } catch (Exception error) {
        System.out.println(error);
      }
    }));
    System.exit(3);
  }
}
