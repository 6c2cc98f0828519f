import Foundation
import Inspection
import Testing
import Wire

@Suite(.serialized) struct GoProgramTests {
  static let plain = [
    "inited", "goroutines", "collect", "network", "signals", "preempted", "recovered", "locked", "timers", "memory", "commands",
    "indirect", "replaced", "files", "raised",
  ]
  static let withC = [
    "call", "callback", "nested", "thread", "mapped", "system", "sorted", "raised", "resolver", "exec", "goroutines", "signals",
  ]
  /// What a profile may ask about, and most of what Go's runtime does by itself: read to sigreturn, mincore, madvise, nanosleep, sockets,
  /// processes, futex, timers, epoll, and their like.
  static let numbers: [Int32] = [
    0, 1, 3, 9, 10, 11, 12, 13, 14, 15, 17, 24, 27, 28, 35, 39, 41, 42, 44, 49, 50, 54, 56, 57, 58, 59, 60, 61, 62, 72, 110, 131, 157,
    158, 186, 200, 202, 204, 222, 231, 232, 233, 234, 247, 257, 262, 281, 288, 290, 291, 293, 302, 318, 424, 434, 435,
  ]

  @Test(arguments: GoWorkshop.toolchains, GoWorkshop.flavours)
  func `every stack of a Go program reaches its base`(toolchain: String, flavour: GoWorkshop.Flavour) throws {
    let program = try GoWorkshop.program(flavour, by: toolchain)
    let names = flavour.usesC ? GoProgramTests.withC : GoProgramTests.plain
    try inspectAll(names.map { [program, $0] }, "\(flavour.name) by \(toolchain)")
  }

  @Test(arguments: GoWorkshop.toolchains, ["c-shared", "c-archive"])
  func `every stack of a C program with a library made by Go reaches its base`(toolchain: String, mode: String) throws {
    try inspectAll([[try GoWorkshop.libraryUser(mode, by: toolchain)]], "\(mode) by \(toolchain)")
  }

  @Test func `a goroutine's return address that no call left is objected to`() throws {
    let program = try GoWorkshop.program(GoWorkshop.flavours[0], by: "/usr/bin/go")
    var seen = 0
    // rawSyscallNoError has no frame: its return address is the first word.
    try stops(at: [110], of: [program, "indirect"], limit: 5, alter: { snapshot, _ in snapshot.stack[0] &+= 1 }) { _, finding in
      seen += 1
      #expect(finding.violations.contains { $0.check == .call && $0.frame == 1 }, "\(shown(finding))")
    }
    #expect(seen == 5)
  }

  @Test(arguments: ["static", "cgo"])
  func `no change of a Go program's stack or registers traps the inspector`(name: String) throws {
    let flavour = try #require(GoWorkshop.flavours.first { $0.name == name })
    let program = try GoWorkshop.program(flavour, by: "/usr/bin/go")
    let images = LiveProcess.Images()
    var seen = 0
    var numbers = SystemRandomNumberGenerator()
    for argument in [flavour.usesC ? "nested" : "commands", "signals"] {
      try stops(
        at: GoProgramTests.numbers, of: [program, argument], limit: 400, images: images,
        alter: { snapshot, process in
          for _ in 0..<4 where !snapshot.stack.isEmpty {
            let place = Int.random(in: 0..<snapshot.stack.count, using: &numbers) & ~7
            let word = UInt64.random(in: 0...3, using: &numbers)
            for index in 0..<8 where place + index < snapshot.stack.count {
              // Zero, all ones, an address on the stack itself, or anything.
              let value = [0, UInt64.max, snapshot.registers[Registers.rsp] ?? 0, UInt64.random(in: 0...UInt64.max)][Int(word)]
              snapshot.stack[place + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
            }
          }
          if Bool.random(using: &numbers) { snapshot.threadPointer = UInt64.random(in: 0...UInt64.max) }
        }
      ) { _, _ in seen += 1 }
    }
    #expect(seen > 100)
  }

  private func inspectAll(_ commands: [[String]], _ title: String) throws {
    let images = LiveProcess.Images()
    var (seen, frames, flagged) = (0, 0, 0)
    var sources = SourceCounts()
    for command in commands {
      var here = 0
      try stops(at: GoProgramTests.numbers, of: command, limit: 1500, images: images) { snapshot, finding in
        here += 1
        frames += Int(finding.depth)
        for source in FrameSource.allCases { sources[source] += finding.sources[source] }
        guard !finding.isClean else { return }
        // A process that another of its threads ends while one is stopped has no memory any more.
        let process = try? LiveProcess(Int32(snapshot.thread), images)
        process?.finish()
        if process?.every.isEmpty ?? true { return }
        flagged += 1
        if flagged < 4 { Issue.record("\(title) \(command.dropFirst()), stop \(here), syscall \(snapshot.number):\n\(shown(finding))") }
      }
      #expect(here > 10, "\(command) made \(here) stops")
      seen += here
    }
    #expect(flagged == 0, "\(flagged) of \(seen)")
    #expect(sources[.pclntab] > UInt32(seen))
    print("\(title): \(seen) stacks, \(frames) frames, \(sources[.pclntab]) by pclntab, \(sources[.cfi]) by CFI")
  }
}
