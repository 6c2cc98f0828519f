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
    let images = LiveProcess.Images()
    var (seen, frames, flagged) = (0, 0, 0)
    var sources = SourceCounts()
    for name in flavour.usesC ? GoProgramTests.withC : GoProgramTests.plain {
      var here = 0
      try stops(at: GoProgramTests.numbers, of: [program, name], limit: 1500, images: images) { snapshot, finding in
        here += 1
        frames += Int(finding.depth)
        for source in FrameSource.allCases { sources[source] += finding.sources[source] }
        guard !finding.isClean else { return }
        // A process that another of its threads ends while one is stopped has no memory any more.
        let process = try? LiveProcess(Int32(snapshot.thread), images)
        process?.finish()
        if process?.every.isEmpty ?? true { return }
        flagged += 1
        if flagged < 4 { Issue.record("\(flavour.name) \(name), stop \(here), syscall \(snapshot.number):\n\(shown(finding))") }
      }
      #expect(here > 10, "\(flavour.name) \(name) made \(here) stops")
      seen += here
    }
    #expect(flagged == 0, "\(flagged) of \(seen)")
    #expect(sources[.pclntab] > UInt32(seen))
    print("\(flavour.name) by \(toolchain): \(seen) stacks, \(frames) frames, \(sources[.pclntab]) by pclntab, \(sources[.cfi]) by CFI")
  }
}
