import Diagnostics
import Filter
import OCI
import Testing

/// What libseccomp makes of rules that meet: the reason why the merge writes disjoint ones and then evaluates the result.
/// The first column of each is what a naive merge would write.
struct LibseccompTests {
  @Test func `complementary rules do what they say`() throws {
    let program = try compile(
      section(
        .errno(nil), SeccompRule(["mmap"], .allow, where: [whereNotExecutable]),
        SeccompRule(["mmap"], .notify, where: [whereExecutable])))
    #expect(program.verdict(mmap, 0, 0, 3) == .allow)
    #expect(program.verdict(mmap, 0, 0, 5) == .notify)
  }

  @Test func `a conditional rule under an allowing default does what it says`() throws {
    let program = try compile(section(.allow, SeccompRule(["mmap"], .notify, where: [whereExecutable])))
    #expect(program.verdict(mmap, 0, 0, 3) == .allow)
    #expect(program.verdict(mmap, 0, 0, 4) == .notify)
  }

  @Test func `an unconditional rule swallows a conditional one in either order`() throws {
    let (always, sometimes) = (SeccompRule(["mmap"], .allow), SeccompRule(["mmap"], .notify, where: [whereExecutable]))
    #expect(try compile(section(.errno(nil), always, sometimes)).verdict(mmap, 0, 0, 4) == .allow)
    #expect(try compile(section(.errno(nil), sometimes, always)).verdict(mmap, 0, 0, 4) == .allow)
  }

  @Test func `of two unconditional rules the first wins`() throws {
    let program = try compile(section(.errno(nil), SeccompRule(["mmap"], .errno(5)), SeccompRule(["mmap"], .allow)))
    #expect(program.verdict(mmap) == .errno(5))
  }

  @Test func `an unconditional notification swallows a conditional allowance`() throws {
    let program = try compile(
      section(.errno(nil), SeccompRule(["mmap"], .notify), SeccompRule(["mmap"], .allow, where: [whereNotExecutable])))
    #expect(program.verdict(mmap, 0, 0, 3) == .notify)
  }

  @Test func `where rules on different arguments both match, the argument's number decides which is lost`() throws {
    func naive(_ other: Int) throws -> Program {
      try compile(
        section(
          .errno(nil), SeccompRule(["mmap"], .allow, where: [SeccompArgument(other, .equal, 0)]),
          SeccompRule(["mmap"], .notify, where: [whereExecutable])))
    }
    #expect(try naive(0).verdict(mmap, 0, 0, 4, 0) == .notify)
    #expect(try naive(3).verdict(mmap, 0, 0, 4, 0) == .allow)
    #expect(try naive(3).verdict(mmap, 0, 0, 4, 1) == .notify)
  }

  @Test func `one condition with two actions does not compile`() {
    let error = #expect(throws: Refusal.self) {
      try compile(
        section(
          .errno(nil), SeccompRule(["mmap"], .allow, where: [whereExecutable]),
          SeccompRule(["mmap"], .notify, where: [whereExecutable])))
    }
    #expect(error?.description.contains("contradicts another rule") == true)
  }

  @Test func `comparisons of one argument in one rule are alternatives`() throws {
    let rule = SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .equal, 1), SeccompArgument(2, .equal, 2)])
    let program = try compile(section(.errno(nil), rule))
    #expect(program.verdict(mmap, 0, 0, 1) == .allow)
    #expect(program.verdict(mmap, 0, 0, 2) == .allow)
    #expect(program.verdict(mmap, 0, 0, 3) == .errno(1))
  }

  @Test func `names that libseccomp does not know are skipped`() throws {
    #expect(try compile(section(.errno(nil), SeccompRule(["no_such_call", "mmap"], .allow))).verdict(mmap) == .allow)
  }
}
