import Foundation
import Kernel
import Testing

@testable import Supervisor

@Suite(.serialized) struct `The end of a container` {
  private func end(_ root: CInt, cgroup: String? = nil) throws -> ContainerEnd {
    ContainerEnd(roots: [try #require(ProcessIdentity(UInt32(root)))], starter: nil, cgroup: cgroup, spared: [])
  }

  /// How it ended within a second; nil where it still runs.
  private func ending(_ process: CInt) throws -> Ending? {
    for _ in 0..<200 {
      if let ending = try wait(for: process, blocking: false) { return ending }
      usleep(5000)
    }
    return nil
  }

  private func sleeping() throws -> CInt { try spawn("/bin/sleep", ["30"], descriptors: []) }

  @Test func `a container's own cgroup is killed whole, and no other`() throws {
    let hierarchy = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].first {
      FileManager.default.fileExists(atPath: $0 + "/cgroup.controllers")
    }
    guard geteuid() == 0, let hierarchy else { try Test.cancel("no cgroups of version 2 that may be made here") }
    let name = "callgate-test-\(getpid())"
    let path = "\(hierarchy)/\(name)"
    guard unsafe mkdir(path, 0o755) == 0 else { try Test.cancel("no cgroup can be made: errno \(errno)") }
    defer { _ = unsafe rmdir(path) }
    let all = try (0..<3).map { _ in try sleeping() }
    for process in all.prefix(2) { try writeToFile("\(path)/cgroup.procs", "\(process)") }
    // A process outside of it: only that one ends.
    #expect(try end(all[2], cgroup: name).run().left == 0)
    #expect(try ending(all[2]) == .killed(9) && ending(all[1]) == nil)
    let (left, trouble) = try end(all[0], cgroup: name).run()
    #expect(left == 0 && trouble.isEmpty, "\(trouble)")
    #expect(try ending(all[0]) == .killed(9) && ending(all[1]) == .killed(9))
  }
}
