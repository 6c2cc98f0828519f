import Kernel
@testable import Supervisor
import Testing

/// Where the supervisor is bound, and for how long.
@Suite(.serialized) struct PerchTests {
  /// Calls from `core`, one after the other, until the perch is bound there; nil where it takes more than `most`.
  private static func calls(from core: CInt, until perch: Perch, most: Int = 100_000) -> Int? {
    for number in 1...most {
      perch.note(core)
      if perch.core == core { return number }
    }
    return nil
  }

  private static func cores(of perch: Perch) throws -> [CInt] {
    let cores = (0..<1024).map { CInt($0) }.filter { perch.cores?.only($0) != nil }
    guard cores.count >= 2 else { try Test.cancel("there is one core only") }
    return cores
  }

  @Test func `calls from one core bind it there, and one from elsewhere lets it go`() throws {
    let perch = Perch()
    defer { perch.leave() }
    let cores = try Self.cores(of: perch)
    let needed = try #require(Self.calls(from: cores[0], until: perch))
    #expect(needed > 1 && needed < 100)
    #expect(currentCore == cores[0])
    perch.note(cores[1])
    #expect(perch.core == nil)
  }

  @Test func `where that does not last, it takes ever more calls; where it did, few again`() throws {
    let perch = Perch()
    defer { perch.leave() }
    let cores = try Self.cores(of: perch)
    var before = try #require(Self.calls(from: cores[0], until: perch))
    let first = before
    for turn in 1...3 {
      let needed = try #require(Self.calls(from: cores[turn % 2], until: perch))
      #expect(needed > 2 * before)
      before = needed
    }
    for _ in 0..<5000 { perch.note(cores[1]) }
    #expect(try #require(Self.calls(from: cores[0], until: perch)) <= first + 1)
  }

  @Test func `calls from two cores in turn bind it nowhere`() throws {
    let perch = Perch()
    defer { perch.leave() }
    let cores = try Self.cores(of: perch)
    for number in 0..<10_000 { perch.note(cores[number % 2]) }
    #expect(perch.core == nil)
  }
}
