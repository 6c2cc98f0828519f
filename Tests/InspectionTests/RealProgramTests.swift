import Foundation
import Inspection
import Testing
import Wire

private let getppid: Int32 = 110
private let execve: Int32 = 59
private let setuid: Int32 = 105
private let clones: [Int32] = [56, 58, 435]

@Suite(.serialized) struct RealProgramTests {
  static let clean = [
    "direct", "inline", "qsort", "deep", "vla", "noreturn", "cold", "signal", "signals-nested", "signal-busy", "altstack-heap",
    "altstack-static", "altstack-mmap", "altstack-local", "thread", "thread-small", "thread-own-stack", "thread-signal", "thread-fork",
    "thread-system", "thread-key", "setuid", "once", "atexit", "constructor", "system", "popen", "posix_spawn", "vfork", "fork",
    "longjmp", "ifunc", "dlopen",
  ]

  @Test(arguments: Workshop.flavours.keys.sorted())
  func `no way to make a syscall is objected to`(flavour: String) throws {
    let images = LiveProcess.Images()
    for name in RealProgramTests.clean {
      let command = [try Workshop.made.get().path("cases-\(flavour)"), name]
      var seen = 0
      try stops(at: [getppid, execve, setuid] + clones, of: command, images: images) { snapshot, finding in
        seen += 1
        if !finding.isClean { Issue.record("\(flavour) \(name), syscall \(snapshot.number):\n\(shown(finding))") }
      }
      #expect(seen > 1 || ["ifunc", "dlopen"].contains(name), "\(flavour) \(name) made \(seen) stops")
    }
  }
}
