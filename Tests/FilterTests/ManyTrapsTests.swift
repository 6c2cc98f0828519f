import Filter
import Foundation
import OCI
import Profile
import Testing

private func profileOfTests() throws -> Profile {
  let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  return try Profile(
    parsing: Array(Data(contentsOf: repository.appending(path: "Tests/Benign/profiles/fifty.yaml"))), file: "fifty.yaml")
}

/// The profile that Tests/Benign runs its programs under.
@Suite struct ManyTrapsTests {
  @Test func `a profile of a hundred calls merges with podman's default, and is proven`() throws {
    let base = try podmanDefault()
    let profile = try profileOfTests()
    let extra = Set(profile.traps.map(\.syscall)).subtracting(try defaultProfile().traps.map(\.syscall))
    #expect(extra.count >= 50)
    let merged = try merge(profile, into: base)
    try prove(merged, over: base, for: profile)
    let program = try compile(merged)
    let (openat, futex, read): (UInt32, UInt32, UInt32) = (257, 202, 0)
    #expect(program.verdict(openat) == .notify && program.verdict(read) == .allow)
    // FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET are trapped, FUTEX_WAIT and FUTEX_WAKE are not; FUTEX_PRIVATE_FLAG changes nothing.
    for (operation, verdict) in [(9, .notify), (0x8a, .notify), (0x189, .notify), (0, .allow), (0x80, .allow), (0x81, .allow)]
      as [(UInt64, SeccompAction)]
    {
      #expect(program.verdict(futex, 0, operation) == verdict)
    }
    // A fork is judged, and a thread of glibc; a thread of Go is only heard of, for its stack.
    #expect(program.verdict(clone, 0x3d0f00) == .notify && program.verdict(clone, 0x120_0011) == .notify)
    #expect(program.verdict(clone, 0x50f00) == .allow && program.verdict(clone, 0x50f00, 0x1000) == .notify)
  }

  @Test func `it compiles for a command without a container`() throws {
    #expect(try Program(bytes: compileStandalone(try profileOfTests())).verdict(257) == .notify)
  }
}
