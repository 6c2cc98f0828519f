import Foundation
import Testing

extension EndToEnd {
  /// A profile's author, from the first recording to the image's next version.
  @Suite struct `An author` {
    /// A web application: a server, and a library of the handlers that it calls through a table. A request's number is not checked, and behind
    /// the table lies a pointer that nobody uses: to system(3).
    private static let server = """
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      #include <sys/socket.h>
      #include <sys/un.h>
      #include <unistd.h>
      extern char reply[256];
      int hello(const char *), today(const char *), sum(const char *);
      static struct { int (*handlers[3])(const char *); int (*debug)(const char *); } site = {{hello, today, sum}, system};
      __attribute__((noinline)) static int dispatch(unsigned number, const char *word) {
        int failed = site.handlers[number](word);
        return failed ? 500 : 200;
      }
      __attribute__((noinline)) static void answer(int client) {
        char request[512] = "", word[256] = "", text[512];
        unsigned number = 0;
        if (read(client, request, sizeof request - 1) <= 0) return;
        sscanf(request, "GET /%u/%255[^\\r\\n]", &number, word);
        char *version = strstr(word, " HTTP/");
        if (version) *version = 0;
        int status = dispatch(number, word);
        int count = snprintf(text, sizeof text, "HTTP/1.0 %d OK\\r\\n\\r\\n%s", status, reply);
        if (write(client, text, count) < 0) return;
      }
      int main(void) {
        struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/shared/web.sock"};
        int door = socket(AF_UNIX, SOCK_STREAM, 0);
        unlink(name.sun_path);
        if (bind(door, (struct sockaddr *)&name, sizeof name) || listen(door, 8)) return 1;
        for (;;) {
          int client = accept(door, 0, 0);
          if (client < 0) return 2;
          answer(client);
          close(client);
        }
      }
      """

    /// `extra`: what the next version has besides, before all else.
    private static func library(extra: String) -> String {
      """
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      char reply[256];
      \(extra)
      __attribute__((noinline)) static int run_command(const char *command, const char *word) {
        char line[200];
        FILE *output = popen(command, "r");
        if (!output) return 1;
        reply[0] = 0;
        while (fgets(line, sizeof line, output))
          if (strlen(reply) + strlen(line) + strlen(word) + 2 < sizeof reply) strcat(strcat(strcat(reply, line), word), "\\n");
        return pclose(output);
      }
      int hello(const char *word) { return snprintf(reply, sizeof reply, "hello %s\\n", word) < 0; }
      int today(const char *word) { int failed = run_command("echo today", word); return failed != 0; }
      int sum(const char *word) { return snprintf(reply, sizeof reply, "%d\\n", atoi(word) * 2) < 0; }
      """
    }

    private let engine = Engine.podmanCrun
    private var ctl: String { URL(fileURLWithPath: engine.runtime(.untrusted)).deletingLastPathComponent().path + "/callgatectl" }
    private var podman: String { (Engine.folder ?? "") + "/bin/podman" }

    /// Builds an image of the application on the tests' own, and returns its name.
    private func image(version: Int, extra: String = "") throws -> String {
      let folder = try Folder()
      try folder.write(Self.server, to: "server.c")
      try folder.write(Self.library(extra: extra), to: "site.c")
      try folder.write("FROM \(Engine.image)\nCOPY server libsite.so /srv/\n", to: "Containerfile")
      let build = """
        set -e; cd '\(folder.path)'; flags='-O1 -w -fno-optimize-sibling-calls -fstack-protector-strong'
        gcc $flags -shared -fPIC -o libsite.so site.c; strip libsite.so
        gcc $flags -o server server.c -L. -lsite -Wl,-rpath,/srv
        '\(podman)' build -q -t localhost/site:\(version) -f Containerfile .
        """
      let built = try run(["sh", "-c", build], within: 120)
      guard built.status == 0 else { throw Unexpected("the image was not built: \(built)") }
      return "localhost/site:\(version)"
    }

    /// One request's answer, empty where the server gives none.
    private func ask(_ path: String, of folder: Folder) throws -> String {
      try run(["curl", "-s", "--max-time", "10", "--unix-socket", folder.file("web.sock"), "http://site" + path], within: 20).output
    }

    /// The application's own test load.
    private func load(_ folder: Folder) throws {
      for _ in 0..<3 {
        #expect(try ask("/0/you", of: folder) == "hello you\n")
        #expect(try ask("/1/is", of: folder) == "today\nis\n")
        #expect(try ask("/2/21", of: folder) == "42\n")
      }
    }

    /// A container of `image` while `body` runs.
    private func serving(_ image: String, _ annotations: [String], _ body: (Folder, String) throws -> Void) throws {
      let folder = try Folder()
      let name = Engine.freshName()
      defer { engine.remove(name) }
      let marks = (["dev.callgate.untrusted=true"] + annotations).flatMap { ["--annotation", $0] }
      let started = try run(
        [podman, "--runtime", engine.runtime(.untrusted), "run", "-d"] + marks + [
          "--name", name, "-v", "\(folder.path):/shared", image, "/srv/server",
        ])
      guard started.status == 0 else { throw Unexpected("the container did not start: \(started)") }
      for _ in 0..<100 where !folder.exists("web.sock") { usleep(50_000) }
      try body(folder, name)
    }

    private func exploited(_ folder: Folder) throws -> Bool {
      let send = """
        import socket
        s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect('\(folder.file("web.sock"))')
        s.sendall(b'GET /3/echo >/shared/pwned HTTP/1.0\\r\\n\\r\\n')
        try: s.recv(100)
        except OSError: pass
        """
      _ = try run(["python3", "-c", send], within: 30)
      return folder.exists("pwned")
    }

    @Test func `records, learns, reviews, enforces, and carries the profile over to the next version`() throws {
      try engine.required()
      try Callgate.required()
      let first = try image(version: 1)
      let profiles = URL(fileURLWithPath: ctl).deletingLastPathComponent().deletingLastPathComponent().path + "/etc/callgate/profiles"
      defer {
        for verb in ["stop", "remove"] { _ = try? run([ctl, "record", verb, "site"]) }
        try? FileManager.default.removeItem(atPath: profiles + "/site.yaml")
      }

      // The stack of this exploit is genuine: the default profile lets it through.
      try serving(first, []) { folder, _ throws in #expect(try exploited(folder)) }

      // Recorded under its own load.
      #expect(try run([ctl, "record", "start", "site"]).status == 0)
      try serving(first, ["dev.callgate.record=site"]) { folder, _ throws in try load(folder) }
      let recorded = try run([ctl, "record", "status", "site"])
      #expect(recorded.output.contains("execve") && recorded.output.contains("no new way for"), "\(recorded)")
      #expect(try run([ctl, "record", "stop", "site"]).status == 0)

      // Learnt, and reviewed.
      let learned = try run([ctl, "profile", "learn", "site", "--recording", "site", "--yes"], within: 60)
      #expect(learned.status == 0, "\(learned)")
      let lint = try run([ctl, "profile", "lint", "site"])
      #expect(lint.status == 0, "\(lint)")
      let difference = try run([ctl, "profile", "diff", "default", "site"])
      #expect(difference.status == 1 && difference.output.contains("libsite:today"), "\(difference)")
      let covered = try run([ctl, "profile", "check", "site", "--covers", "site"])
      #expect(covered.status == 0, "\(covered)")

      // Enforced: its load as before, and the exploit denied, with the way in words.
      try serving(first, ["dev.callgate.profile=site"]) { folder, name throws in
        try Callgate.undisturbed { try load(folder) }
        #expect(try !exploited(folder))
        for _ in 0..<100 where try engine.isRunning(name) { usleep(50_000) }
        let why = try Callgate.lastDenial()
        #expect(why.contains("CG4013 path") && why.contains("none of its chains for this call has libc:"), "\(why)")
      }

      // A library is upgraded.
      let second = try image(
        version: 2,
        extra:
          "__attribute__((noinline)) int news(const char *word) { for (int i = 0; word[i]; i++) reply[i & 127] ^= word[i] * i; return 0; }")
      let image = ["--image", second, "--podman", podman]
      let same = try run([ctl, "profile", "status", "site", "--image", first, "--podman", podman], within: 60)
      #expect(same.status == 0, "\(same)")
      let drift = try run([ctl, "profile", "status", "site"] + image, within: 60)
      #expect(drift.status == 1 && drift.output.contains("libsite") && drift.output.contains("changed: build id"), "\(drift)")
      #expect(drift.output.contains(" 0 to be recorded again"), "\(drift)")
      let json = try run([ctl, "profile", "status", "site", "--json"] + image, within: 60)
      #expect(json.status == 1 && json.output.contains(#""fate":"carried""#), "\(json)")
      // What was not carried over is denied: another build is nobody's listed file.
      try serving(second, ["dev.callgate.profile=site"]) { folder, _ throws in #expect(try ask("/1/is", of: folder) == "") }
      let rebased = try run([ctl, "profile", "rebase", "site", "--in-place"] + image, within: 60)
      #expect(rebased.status == 0 && rebased.output.contains(" 0 taken out"), "\(rebased)")
      try serving(second, ["dev.callgate.profile=site"]) { folder, _ throws in
        try Callgate.undisturbed { try load(folder) }
        #expect(try !exploited(folder))
      }
    }
  }
}
