import Diagnostics
import Filter
import OCI
import Profile
import Testing

/// Merges, proves and compiles.
private func merged(_ base: Seccomp, _ profile: Profile) throws -> Program {
  let merged = try merge(profile, into: base)
  try prove(merged, over: base, for: profile)
  return try compile(merged)
}

private let trapsExecutable = profile([Trap("mmap", where: executable)])
private let trapsAll = profile([Trap("mmap")])

@Test func `podman's default section keeps its refusals and gains the default profile's traps`() throws {
  let program = try merged(try podmanDefault(), try defaultProfile())
  #expect(program.verdict(0) == .allow)  // read
  #expect(program.verdict(execve) == .notify)
  #expect(program.verdict(mmap, 0, 4096, 3) == .allow)
  #expect(program.verdict(mmap, 0, 4096, 5) == .notify)
  #expect(program.verdict(clone, 0x1200011) == .allow)
  #expect(program.verdict(clone, 0x1000_0011) == .notify)
  #expect(program.verdict(435) == .errno(38))  // clone3
  #expect(program.verdict(425) == .errno(38))  // io_uring_setup
  #expect(program.verdict(246) == .errno(1))  // kexec_load: the base's own
  #expect(program.verdict(135, 0) == .allow)  // personality
  #expect(program.verdict(135, 0xffff_ffff) == .notify)
  #expect(program.verdict(135, 0x0040_0000) == .errno(38))  // READ_IMPLIES_EXEC, which podman refuses by its default
  #expect(program.verdict(41, 16, 3, 9) == .errno(22))  // socket(AF_NETLINK, …, NETLINK_AUDIT)
}

@Test func `a container without a section gets one that allows all but the profile's calls`() throws {
  let program = try merged(.none, try defaultProfile())
  #expect(program.verdict(0) == .allow)
  #expect(program.verdict(execve) == .notify)
  #expect(program.verdict(mmap, 0, 0, 7) == .notify)
  #expect(program.verdict(mmap, 0, 0, 3) == .allow)
  #expect(program.verdict(246) == .errno(1))
  #expect(program.verdict(426) == .errno(38))
}

@Test(arguments: [Call.i386, Call.x32Bit]) func `calls of other architectures are killed`(which: UInt32) throws {
  let program = try merged(try podmanDefault(), try defaultProfile())
  for number in UInt32(0)..<600 {
    let foreign = which == Call.i386 ? Call(number, architecture: which) : Call(number | which)
    #expect(program.evaluate(foreign) == SeccompAction.killThread.code)
  }
}

@Test(
  arguments: [
    [SeccompRule(["mmap"], .allow)],
    [SeccompRule(["mmap"], .allow), SeccompRule(["mmap"], .errno(5))],
    [SeccompRule(["mmap"], .allow, where: [SeccompArgument(0, .equal, 0)])],
    [SeccompRule(["mmap"], .allow, where: [whereNotExecutable])],
    [SeccompRule(["mmap"], .allow, where: [whereExecutable])],
    [SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .maskedEqual, 7, 5)])],
    [SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .maskedEqual, 3, 1)])],
    [
      SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .equal, 5)]),
      SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .equal, 3)]),
    ],
    [SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .equal, 5), SeccompArgument(2, .equal, 3)])],
    [SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .lessOrEqual, 6)])],
    [SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .notEqual, 7)])],
    [SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .greater, 2), SeccompArgument(0, .equal, 0)])],
    [SeccompRule(["mmap"], .log)],
    [SeccompRule(["mmap"], .errno(13))],
    [SeccompRule(["mmap"], .killProcess), SeccompRule(["mmap"], .allow, where: [whereExecutable])],
  ] as [[SeccompRule]])
func `every shape of a base's rules is merged and proven under a refusing default`(rules: [SeccompRule]) throws {
  var base = section(.errno(38))
  base.rules = rules
  _ = try merged(base, trapsExecutable)
  _ = try merged(base, trapsAll)
}

@Test(
  arguments: [
    [],
    [SeccompRule(["mmap"], .errno(13))],
    [SeccompRule(["mmap"], .errno(13), where: [SeccompArgument(0, .equal, 7)])],
    [SeccompRule(["mmap"], .errno(13), where: [whereExecutable])],
    [SeccompRule(["mmap"], .errno(13), where: [SeccompArgument(2, .maskedEqual, 7, 7)])],
    [SeccompRule(["mmap"], .killProcess, where: [SeccompArgument(0, .greaterOrEqual, 7), SeccompArgument(1, .notEqual, 4)])],
    [
      SeccompRule(["mmap"], .errno(1), where: [SeccompArgument(0, .maskedEqual, 1, 1)]),
      SeccompRule(["mmap"], .errno(2), where: [SeccompArgument(0, .maskedEqual, 6, 2)]),
    ],
    [SeccompRule(["mmap"], .log)],
  ] as [[SeccompRule]])
func `every shape of a base's rules is merged and proven under an allowing default`(rules: [SeccompRule]) throws {
  var base = section(.allow)
  base.rules = rules
  _ = try merged(base, trapsExecutable)
  _ = try merged(base, trapsAll)
}

@Test func `two values refused under an allowing default leave a rest that no rule can say, and are refused`() {
  let base = section(
    .allow, SeccompRule(["mmap"], .errno(1), where: [SeccompArgument(0, .equal, 1)]),
    SeccompRule(["mmap"], .errno(1), where: [SeccompArgument(0, .equal, 2)]))
  let error = #expect(throws: Refusal.self) { try merge(trapsAll, into: base) }
  #expect(error?.code == .filterNotProven)
}

@Test func `a condition that no rule can say together with the base's notifies for the base's`() throws {
  let base = section(.errno(38), SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .lessOrEqual, 6)]))
  let program = try merged(base, trapsExecutable)
  #expect(program.verdict(mmap, 0, 0, 3) == .notify)
  #expect(program.verdict(mmap, 0, 0, 4) == .notify)
  #expect(program.verdict(mmap, 0, 0, 7) == .errno(38))
}

@Test func `contradictory conditions leave no rule behind`() throws {
  let base = section(.errno(38), SeccompRule(["mmap"], .allow, where: [whereNotExecutable]))
  let result = try merge(trapsExecutable, into: base)
  #expect(result.rules.filter { $0.names == ["mmap"] } == [SeccompRule(["mmap"], .allow, where: [whereNotExecutable])])
}

@Test func `a condition on all bits of a mask is told from one on any`() throws {
  let both = Condition(argument: 0, mask: 0b101, relation: .allSet)
  for base in [section(.allow), section(.errno(1), SeccompRule(["personality"], .allow))] {
    let program = try merged(base, profile([Trap("personality", where: both)]))
    #expect(program.verdict(135, 0b100) == .allow)
    #expect(program.verdict(135, 0b001) == .allow)
    #expect(program.verdict(135, 0b010) == .allow)
    #expect(program.verdict(135, 0b111) == .notify)
  }
}

@Test func `what is never wanted is refused, and what the base refuses otherwise stays as it was`() throws {
  let base = section(.allow, SeccompRule(["init_module"], .killProcess))
  let program = try merged(base, profile([Trap("execve")], never: ["init_module", "kexec_load"], absent: ["clone3"]))
  #expect(program.verdict(175) == .killProcess)
  #expect(program.verdict(246) == .errno(1))
  #expect(program.verdict(435) == .errno(38))
}

@Test func `only x86-64 is left, and other flags are kept`() throws {
  var base = section()
  base.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
  base.flags = ["SECCOMP_FILTER_FLAG_LOG"]
  let result = try merge(trapsAll, into: base)
  #expect(result.architectures == ["SCMP_ARCH_X86_64"])
  #expect(result.flags == ["SECCOMP_FILTER_FLAG_LOG"])
}

@Test(
  arguments: [
    (section(.notify), Code.conflictingListener),
    (section(.errno(nil), SeccompRule(["read"], .notify)), .conflictingListener),
    (section(.errno(nil), SeccompRule(["read"], .trace(nil))), .badBundle),
  ] as [(Seccomp, Code)])
func `a base that cannot be supervised is refused`(base: Seccomp, code: Code) {
  #expect(throws: Refusal.self) { try merge(trapsAll, into: base) }
  do { _ = try merge(trapsAll, into: base) } catch { #expect(error.code == code) }
}

@Test func `a section for another machine is refused`() {
  var base = section()
  base.architectures = ["SCMP_ARCH_AARCH64"]
  let error = #expect(throws: Refusal.self) { try merge(trapsAll, into: base) }
  #expect(error?.code == .unsupportedHost)
}

@Test(arguments: ["no_such_call", "socketcall", "umount"])
func `a trap on a name that x86-64 does not have is refused`(name: String) {
  let error = #expect(throws: Refusal.self) { try merge(profile([Trap(name)]), into: .none) }
  #expect(error?.code == .badProfile)
}

@Test func `every name of every group exists on x86-64`() throws {
  for group in Group.all { _ = try resolve(profile(group.traps, absent: group.absent)) }
}

// MARK: the proof

@Test func `the proof notices a lost trap, a loosened refusal, a changed errno and a forgotten call`() throws {
  let base = section(.errno(38), SeccompRule(["mmap", "read"], .allow))
  let good = try merge(trapsExecutable, into: base)
  try prove(good, over: base, for: trapsExecutable)

  var lost = good
  lost.rules.insert(SeccompRule(["mmap"], .allow), at: 0)
  var loosened = good
  loosened.rules.append(SeccompRule(["ptrace"], .allow))
  var changed = good
  changed.defaultAction = .errno(1)
  var forgotten = good
  forgotten.rules.removeAll { $0.names.contains("read") }
  for bad in [lost, loosened, changed, forgotten] {
    let error = #expect(throws: Refusal.self) { try prove(bad, over: base, for: trapsExecutable) }
    #expect(error?.code == .filterNotProven)
  }
}

@Test func `the standalone filter is the default profile over nothing`() throws {
  let program = try Program(bytes: try compileStandalone(try defaultProfile()))
  #expect(program.verdict(execve) == .notify)
  #expect(program.verdict(0) == .allow)
  #expect(program.bytes.count % 8 == 0)
}

// MARK: property

private let calls = [
  "mmap", "clone", "personality", "execve", "socket", "clone3", "io_uring_setup", "read", "shmat", "kexec_load",
]
private let interesting: [UInt64] = [0, 1, 3, 4, 5, 7, 8, 0x20000, 0x0040_0000, 0x1000_0000, 0x7E02_0000, 0xffff_ffff, .max]

private func randomBase(_ random: inout Seeded) -> Seccomp {
  var base = Seccomp(defaultAction: [.errno(1), .errno(38), .killProcess, .allow].randomElement(using: &random)!)
  for name in calls {
    for _ in 0..<Int.random(in: 0...3, using: &random) {
      var arguments: [SeccompArgument] = []
      for _ in 0..<Int.random(in: 0...2, using: &random) {
        let relation = SeccompArgument.Operator.allCases.randomElement(using: &random)!
        let value = interesting.randomElement(using: &random)!
        let wanted = relation == .maskedEqual ? value & interesting.randomElement(using: &random)! : 0
        arguments.append(SeccompArgument(Int.random(in: 0...2, using: &random), relation, value, wanted))
      }
      let action = [.allow, .allow, .allow, .errno(13), .log].randomElement(using: &random)! as SeccompAction
      base.rules.append(SeccompRule([name], action, where: arguments))
    }
  }
  return base
}

@Test(arguments: [1, 2, 3, 4]) func `whatever the base, a merge is right or refused`(seed: UInt64) throws {
  var random = Seeded(state: seed)
  let profile = try defaultProfile()
  let traps = try resolve(profile)
  let refused = Set((profile.never + profile.absent + ioUring).map { syscallNumber($0)! })
  var proven = 0
  for _ in 0..<40 {
    let base = randomBase(&random)
    let before: Program
    let after: Program
    do throws(Refusal) {
      before = try compile(base)
      let merged = try merge(profile, into: base)
      try prove(merged, over: base, for: profile)
      after = try compile(merged)
    } catch {
      // A base whose rules contradict one another, or one that cannot be combined, is refused and never half merged.
      #expect(error.code == .filterNotProven)
      continue
    }
    proven += 1
    for _ in 0..<2000 {
      var call = Call(UInt32(syscallNumber(calls.randomElement(using: &random)!)!))
      for index in 0..<3 {
        call.arguments[index] =
          Bool.random(using: &random)
          ? interesting.randomElement(using: &random)! : random.next() >> UInt64.random(in: 0...63, using: &random)
      }
      let (old, new) = (before.evaluate(call)!, after.evaluate(call)!)
      let isAllowed = old == SeccompAction.allow.code || old == SeccompAction.log.code
      let mayRun = new == SeccompAction.allow.code || new == SeccompAction.log.code || new == SeccompAction.notify.code
      if !isAllowed || refused.contains(Int32(call.number)) {
        #expect(!mayRun, "\(call) in \(base)")
      } else if let trap = traps.first(where: { $0.number == call.number }),
        trap.condition.map({ $0.holds(for: call.arguments[$0.argument]) }) ?? true
      {
        #expect(new == SeccompAction.notify.code, "\(call) in \(base)")
      } else {
        #expect(mayRun, "\(call) in \(base)")
      }
    }
  }
  #expect(proven > 10, "the test proves too little: \(proven) of 40")
}
