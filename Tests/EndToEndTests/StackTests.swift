import Foundation
import Testing

extension EndToEnd {
  /// `callgatectl stack`: what any running process was doing, and what the checks say to it.
  @Suite struct `Stacks` {
    private func stack(_ process: Int32, _ options: [String] = []) throws -> Outcome {
      try Callgate.required()
      return try run([Callgate.ctl, "stack", String(process)] + options, within: 60)
    }

    /// Tests/EndToEnd/stacks/ways.c, standing still in one of its ways.
    private func way(_ words: String..., in folder: Folder) throws -> Running {
      let program = folder.file("ways")
      let source = Repository.root + "/Tests/EndToEnd/stacks/ways.c"
      let made = try run(["gcc", "-O1", "-fno-optimize-sibling-calls", "-w", "-pthread", source, "-o", program])
      guard made.status == 0 else { throw Unexpected("\(made)") }
      let running = try Running([program] + words)
      try running.awaitOutput("ready")
      return running
    }

    /// The objections, of which there are to be none: each stands on a line of its own.
    private func objections(_ text: String) -> [Substring] {
      text.split(separator: "\n").filter { $0.hasPrefix("         ") && $0.contains(": it ") }
    }

    @Test func `of a process that sleeps reach its entry`() throws {
      let sleep = try Running(["sleep", "1000"])
      usleep(300_000)
      for _ in 0..<3 {
        let shown = try stack(sleep.id)
        #expect(shown.status == 0 && shown.errors.isEmpty, "\(shown)")
        #expect(shown.output.contains("thread \(sleep.id) sleep: blocked in "), "\(shown)")
        #expect(shown.output.contains("end  the process's entry") && shown.output.contains("clock_nanosleep"), "\(shown)")
        #expect(objections(shown.output).isEmpty, "\(shown)")
      }
      // It sleeps on, and nobody traces it any more.
      let status = try String(contentsOfFile: "/proc/\(sleep.id)/status", encoding: .utf8)
      #expect(status.contains("TracerPid:\t0") && status.contains("State:\tS"), "\(status)")
    }

    @Test func `of a deep recursion say how many frames are not listed`() throws {
      let folder = try Folder()
      let deep = try way("deep", "1000", in: folder)
      let shown = try stack(deep.id)
      #expect(shown.output.contains("#111") && shown.output.contains("more frames"), "\(shown)")
      #expect(shown.output.contains("end  the process's entry") && objections(shown.output).isEmpty, "\(shown)")
    }

    @Test func `of Python in a deep recursion reach its entry`() throws {
      let program =
        "import functools,time\ndef f(n):\n  return time.sleep(1000) if n == 0 else functools.reduce(lambda a,b: f(n-1), [0,0])\n"
      let python = try Running(["python3", "-c", program + "print('ready', flush=True)\nf(100)"])
      try python.awaitOutput("ready")
      usleep(200_000)
      let shown = try stack(python.id)
      #expect(shown.status == 0 && shown.output.contains("more frames"), "\(shown)")
      #expect(shown.output.contains("end  the process's entry") && objections(shown.output).isEmpty, "\(shown)")
    }

    @Test(arguments: ["handler", "other-stack"]) func `go through a signal handler`(_ name: String) throws {
      let folder = try Folder()
      let handler = try way(name, in: folder)
      let shown = try stack(handler.id)
      #expect(shown.output.contains("signal frame") && shown.output.contains("handler+"), "\(shown)")
      #expect(shown.output.contains("end  the process's entry") && objections(shown.output).isEmpty, "\(shown)")
    }

    /// It waits in the kernel where no stop reaches it.
    @Test func `of a parent that waits in vfork are copied as it waits`() throws {
      let folder = try Folder()
      let parent = try way("vfork-wait", in: folder)
      let shown = try stack(parent.id)
      #expect(shown.output.contains("blocked in vfork"), "\(shown)")
      if geteuid() == 0 {
        #expect(shown.output.contains("end  the process's entry") && objections(shown.output).isEmpty, "\(shown)")
      }
    }

    @Test func `of every thread are shown, and of one that is asked for`() throws {
      let folder = try Folder()
      let threads = try way("threads", in: folder)
      let all = try stack(threads.id)
      #expect(all.output.contains(" waiting: blocked in epoll_wait") && all.output.contains(" spinning: running"), "\(all)")
      #expect(all.output.components(separatedBy: "end  the thread's start").count == 3, "\(all)")
      #expect(objections(all.output).isEmpty, "\(all)")
      let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(threads.id)/task").sorted()
      let one = try stack(threads.id, ["--thread", names[1]])
      #expect(one.output.components(separatedBy: "\nthread ").count == 2 && one.output.contains("thread \(names[1]) "), "\(one)")
      // A thread that waits is left alone: epoll_wait would have failed with EINTR.
      if geteuid() == 0 {
        #expect(try FileManager.default.contentsOfDirectory(atPath: "/proc/\(threads.id)/task").sorted() == names)
      }
    }

    @Test func `of a loop are those of a running thread, and it goes on`() throws {
      let folder = try Folder()
      let loop = try way("loop", in: folder)
      for _ in 0..<5 {
        let shown = try stack(loop.id, ["--checks"])
        #expect(shown.output.contains(": running") && shown.output.contains("end  the process's entry"), "\(shown)")
        #expect(
          shown.output.contains("site  text  function  call  edge  seam  stack  base") && objections(shown.output).isEmpty, "\(shown)")
      }
      let status = try String(contentsOfFile: "/proc/\(loop.id)/status", encoding: .utf8)
      #expect(status.contains("TracerPid:\t0") && status.contains("State:\tR"), "\(status)")
    }

    @Test func `are JSON for programs`() throws {
      let sleep = try Running(["sleep", "1000"])
      usleep(300_000)
      let shown = try stack(sleep.id, ["--json", "--profile", "default"])
      let object = try #require(try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [String: Any])
      #expect(object["pid"] as? Int32 == sleep.id && object["comm"] as? String == "sleep")
      let thread = try #require((object["threads"] as? [[String: Any]])?.first)
      #expect(thread["clean"] as? Bool == true && thread["end"] as? String == "process entry")
      #expect(thread["verdict"] as? String == "profile default allows it")
      let frames = try #require(thread["frames"] as? [[String: Any]])
      #expect(frames.count == thread["depth"] as? Int)
      let site = frames.map { ($0["checks"] as? [String: String])?["site"] }
      #expect(site == ["ok"] + Array(repeating: "n/a", count: frames.count - 1))
      let base = frames.map { ($0["checks"] as? [String: String])?["base"] }
      #expect(base == Array(repeating: "n/a", count: frames.count - 1) + ["ok"])
    }

    @Test func `of who is not there, or has ended, are refused`() throws {
      let none = try stack(Int32.max)
      #expect(none.status == 1 && none.errors.contains("CG1011"), "\(none)")
      #expect(try stack(2).errors.contains("CG1012"))
      let sleep = try Running(["sleep", "1000"])
      let thread = try stack(sleep.id, ["--thread", "1"])
      #expect(thread.status == 1 && thread.errors.contains("CG1011"), "\(thread)")
      sleep.signal(SIGKILL)
      usleep(100_000)
      // Nobody has waited for it yet: a zombie.
      let zombie = try stack(sleep.id)
      #expect(zombie.status == 1 && zombie.errors.contains("CG1011"), "\(zombie)")
    }

    /// Processes that come and go: each is shown or said to have ended, and none is left stopped.
    @Test func `of processes that end meanwhile are shown or refused`() throws {
      try Callgate.required()
      for delay in [0, 1, 5, 10, 20, 30, 40] {
        let short = try Running(["sh", "-c", "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); done; exit 7"])
        usleep(UInt32(delay * 1000))
        let shown = try stack(short.id)
        #expect(shown.status == 0 || shown.errors.contains("CG1011"), "\(shown)")
        #expect(short.end(within: 20).status == 7)
      }
    }

    @Test func `of a thread that another traces are refused, by the tracer's name`() throws {
      guard FileManager.default.isExecutableFile(atPath: "/usr/bin/gdb") else { try cancel("gdb is not installed") }
      let folder = try Folder()
      let loop = try way("loop", in: folder)
      let gdb = try Running(["gdb", "-nx", "-q", "-p", String(loop.id), "-ex", "echo held\\n"])
      try gdb.awaitOutput("held", within: 60)
      let shown = try stack(loop.id)
      #expect(shown.status == 1 && shown.errors.contains("CG1012") && shown.errors.contains("gdb"), "\(shown)")
    }

    @Test func `let the thread go on when callgatectl is killed`() throws {
      try Callgate.required()
      let folder = try Folder()
      let loop = try way("loop", in: folder)
      for delay in [5, 15, 25, 35] {
        let ctl = try Running([Callgate.ctl, "stack", String(loop.id)])
        usleep(UInt32(delay * 1000))
        ctl.signal(delay % 10 == 5 ? SIGKILL : SIGINT)
        _ = ctl.end(within: 20)
        let free = eventually(within: 5) {
          let status = try? String(contentsOfFile: "/proc/\(loop.id)/status", encoding: .utf8)
          return status.map { $0.contains("TracerPid:\t0") && $0.contains("State:\tR") } ?? false
        }
        #expect(free, "after \(delay) ms")
      }
    }

    @Test(arguments: [Engine.podmanCrun, .containerdRunc]) func `of a container's process are read from its own files`(_ engine: Engine)
      throws
    {
      try engine.required()
      try engine.withContainer(.untrusted) { name in
        // Who started it detached does not wait for its execve, nor for what is to be learnt before that is allowed.
        var inside: [Int32] = []
        _ = try eventually {
          let all = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap(Int32.init)
          inside = all.filter { id in
            // Its root is another than ours.
            (try? String(contentsOfFile: "/proc/\(id)/cmdline", encoding: .utf8)) == "sleep\u{0}1000\u{0}"
              && (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/ns/mnt"))
                != (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/mnt"))
          }
          return !inside.isEmpty
        }
        let process = try #require(inside.first)
        let shown = try stack(process)
        #expect(shown.status == 0 && shown.output.contains("end  the process's entry"), "\(shown)")
        #expect(objections(shown.output).isEmpty, "\(shown)")
      }
    }
  }
}
