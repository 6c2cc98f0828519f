import Foundation
import Glibc
import Testing

extension EndToEnd {
  /// What the running processes of callgate may do, as the kernel tells it.
  @Suite struct `Confinement` {
    /// The two processes that supervise one command, while the command waits. It has made trapped calls before.
    private func whileRunning(
      _ body: (_ command: Running, _ supervisor: Int32, _ inspector: Int32) throws -> Void
    ) throws {
      try Callgate.required()
      let before = (Callgate.processes(of: "callgate-supervisor"), Callgate.processes(of: "callgate-inspector"))
      let running = try Running(Callgate.run(["bash", "-c", "/bin/true; /bin/true; echo ready; read line"]))
      try running.awaitOutput("ready")
      let supervisors = Callgate.processes(of: "callgate-supervisor").subtracting(before.0)
      let inspectors = Callgate.processes(of: "callgate-inspector").subtracting(before.1)
      guard supervisors.count == 1, inspectors.count == 1 else { throw Unexpected("not one of each: \(supervisors), \(inspectors)") }
      try body(running, supervisors.first!, inspectors.first!)
      let outcome = running.end(within: 20)
      #expect(!outcome.late, "\(outcome)")
    }

    /// The fields of /proc/PID/status.
    private func status(of process: Int32) throws -> [Substring: String] {
      let text = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
      return Dictionary(
        text.split(separator: "\n").compactMap { line in
          guard let colon = line.firstIndex(of: ":") else { return nil }
          return (line[..<colon], line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }, uniquingKeysWith: { first, _ in first })
    }

    private func link(_ process: Int32, _ name: String) throws -> String {
      try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/\(name)")
    }

    /// Descriptors by number, as /proc names them.
    private func descriptors(of process: Int32) throws -> [Int: String] {
      let numbers = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").compactMap(Int.init)
      return Dictionary(uniqueKeysWithValues: try numbers.map { ($0, try link(process, "fd/\($0)")) })
    }

    @Test func `the inspector has no privileges`() throws {
      try whileRunning { _, _, inspector in
        let status = try status(of: inspector)
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
          #expect(status[set[...]].flatMap { UInt64($0, radix: 16) } == 0, "\(set): \(status[set[...]] ?? "missing")")
        }
        #expect(status["NoNewPrivs"] == "1")
        #expect(status["Seccomp"] == "2")
        let user = geteuid() == 0 ? "65534" : "\(geteuid())"
        #expect(status["Uid"]?.split(separator: "\t").map(String.init) == Array(repeating: user, count: 4), "\(status["Uid"] ?? "")")
        if geteuid() == 0 {
          #expect(status["Gid"]?.split(separator: "\t").map(String.init) == Array(repeating: user, count: 4), "\(status["Gid"] ?? "")")
          #expect(status["Groups"] == "", "\(status["Groups"] ?? "missing")")
        }
      }
    }

    @Test func `the inspector has namespaces of its own`() throws {
      try whileRunning { command, supervisor, inspector in
        for name in ["user", "mnt", "pid", "net", "ipc", "uts"] {
          let (its, outer) = (try link(inspector, "ns/\(name)"), try link(supervisor, "ns/\(name)"))
          #expect(its != outer, "\(name)")
          #expect(its != (try link(command.id, "ns/\(name)")), "\(name)")
        }
      }
    }

    @Test func `the inspector sees no files`() throws {
      guard geteuid() == 0 else { try cancel("another user cannot look into its root") }
      try whileRunning { _, supervisor, inspector in
        let list = FileManager.default.contentsOfDirectory(atPath:)
        // The same look at the supervisor proves that it sees what is there.
        #expect(try list("/proc/\(supervisor)/root/").contains("proc"))
        #expect(try list("/proc/\(inspector)/root/") == [])
        #expect(try list("/proc/\(inspector)/cwd/") == [])
        let made = try run(["mkdir", "/proc/\(inspector)/root/anything"])
        #expect(made.status != 0 && made.errors.contains("Read-only file system"), "\(made)")
      }
    }

    @Test func `the inspector holds its socket and files to read, nothing else`() throws {
      guard geteuid() == 0 else { try cancel("another user cannot look at its descriptors") }
      try whileRunning { _, supervisor, inspector in
        var sockets = 0
        for (number, target) in try descriptors(of: inspector) {
          let path = "/proc/\(inspector)/fd/\(number)"
          if number < 3 {
            #expect(target == "/dev/null", "\(number): \(target)")
          } else if target.hasPrefix("socket:") {
            sockets += 1
          } else {
            var about = stat()
            #expect(unsafe stat(path, &about) == 0 && about.st_mode & S_IFMT == S_IFREG, "\(number): \(target)")
            let info = try String(contentsOfFile: "/proc/\(inspector)/fdinfo/\(number)", encoding: .utf8)
            let flags = info.split(separator: "\n").first { $0.hasPrefix("flags:") }?.split(separator: "\t").last.flatMap {
              Int($0, radix: 8)
            }
            #expect(flags.map { $0 & Int(O_ACCMODE) } == Int(O_RDONLY), "\(number): \(target) can be written: \(info)")
          }
        }
        #expect(sockets == 1)
        // Nothing of the supervisor's that tells of processes or listens.
        #expect(try !descriptors(of: inspector).values.contains { $0.hasPrefix("anon_inode:") || $0.hasPrefix("pipe:") })
        #expect(try descriptors(of: supervisor).values.contains { $0.contains("seccomp") }, "the look sees no listener anywhere")
      }
    }

    /// An engine or a shell waits for the ends of its pipes, and a file system that somebody's directory is on cannot be unmounted.
    @Test func `the supervisor keeps nothing of its caller's`() throws {
      try whileRunning { command, supervisor, inspector in
        let callers = Set(try descriptors(of: command.id).values).subtracting(["/dev/null"])
        #expect(callers.contains { $0.hasPrefix("pipe:") }, "the caller has none: \(callers)")
        for process in [supervisor, inspector] {
          let held = try descriptors(of: process)
          #expect(callers.isDisjoint(with: held.values), "\(callers.intersection(held.values))")
          #expect(!held.values.contains { $0.hasPrefix("/dev/pts/") || $0.hasPrefix("/dev/tty") }, "\(held)")
          for number in 0...2 { #expect(held[number] == "/dev/null", "\(number): \(held[number] ?? "closed")") }
        }
        #expect(try link(supervisor, "cwd") == "/")
        // A session of its own, without a terminal, and not the caller's child.
        let fields = try Callgate.stat(of: supervisor)
        #expect(fields[1] != "\(command.id)", "its parent is the caller")
        #expect(fields[3] != "\(getsid(0))" && fields[3] != "\(getsid(command.id))", "it is in the caller's session")
        #expect(fields[4] == "0", "it has a terminal")
      }
    }

    @Test func `the supervisor keeps no terminal`() throws {
      guard FileManager.default.isExecutableFile(atPath: "/usr/bin/script") else { try cancel("no script(1) here") }
      try Callgate.required()
      let before = Callgate.processes(of: "callgate-supervisor")
      let inside = Callgate.run([]).joined(separator: " ") + " bash -c 'tty; echo ready; read line'"
      let running = try Running(["script", "-qec", inside, "/dev/null"])
      try running.awaitOutput("ready")
      #expect(running.output.contains("/dev/pts/"))
      let supervisors = Callgate.processes(of: "callgate-supervisor").subtracting(before)
      #expect(supervisors.count == 1)
      for supervisor in supervisors {
        #expect(try !descriptors(of: supervisor).values.contains { $0.hasPrefix("/dev/pts/") || $0.hasPrefix("/dev/tty") })
      }
      running.send("\n")
      #expect(!running.end(within: 20).late)
    }
  }
}
