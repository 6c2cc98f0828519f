import java.util.*;
import java.util.concurrent.*;

/** Virtual threads (Java 21) that sleep, so that their frames leave the stack and come back, and then start a process. */
public class Virtual {
  static int deep(int n) throws Exception {
    if (n > 0) return deep(n - 1) + 1;
    Thread.sleep(5);
    return new ProcessBuilder("/bin/true").start().waitFor();
  }

  public static void main(String[] arguments) throws Exception {
    try (var pool = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Integer>> all = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        int n = i;
        all.add(pool.submit(() -> deep(n)));
      }
      int sum = 0;
      for (Future<Integer> one : all) sum += one.get();
      System.out.println(sum);
    }
  }
}
