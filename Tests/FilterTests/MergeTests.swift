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
  #expect(program.verdict(clone, 0x50f00, 0x7f00_0000_0000) == .notify)
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

@Test(arguments: [true, false]) func `a clone with a stack of its own is heard of, whatever the profile traps`(_ isBare: Bool) throws {
  let program = try merged(isBare ? .none : try podmanDefault(), profile([Trap("mmap", where: executable)]))
  for flags: UInt64 in [17, 0x4111, 0x50f00, 0x3d0f00] {
    for stack: UInt64 in [1, 0x1000, 0x7f00_0000_0000, 1 << 63] { #expect(program.verdict(clone, flags, stack) == .notify) }
    #expect(program.verdict(clone, flags, 0) == .allow)
  }
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

@Test(arguments: [trapsAll, trapsExecutable, profile([Trap("execve")])])
func `a value refused under an allowing default leaves a rest that is allowed or trapped`(profile: Profile) throws {
  let values: [UInt64] = [0x1000_0000]
  var base = section(.allow)
  base.rules = values.map { SeccompRule(["mmap"], .errno(13), where: [SeccompArgument(0, .equal, $0)]) }
  let program = try merged(base, profile)
  let trap = profile.traps.first { $0.syscall == "mmap" }
  for value in values + values.flatMap({ [$0 &+ 1, $0 &- 1] }) + [0x8000_0000_0000_0000] {
    for protection in [3, 4] as [UInt64] {
      let isTrapped = trap.map { $0.condition?.holds(for: protection) ?? true } ?? false
      let expected = values.contains(value) ? SeccompAction.errno(13) : isTrapped ? .notify : .allow
      #expect(program.verdict(mmap, value, 0, protection) == expected)
    }
  }
}

@Test func `a range of the base and the bits of a condition are combined exactly`() throws {
  let base = section(.errno(38), SeccompRule(["mmap"], .allow, where: [SeccompArgument(2, .lessOrEqual, 0x1_0000_0006)]))
  let program = try merged(base, trapsExecutable)
  for value in [0, 3, 8, 0xffff_fff8, 0x1_0000_0003] as [UInt64] { #expect(program.verdict(mmap, 0, 0, value) == .allow) }
  for value in [4, 7, 0xffff_ffff, 0x1_0000_0004, 0x1_0000_0006] as [UInt64] {
    #expect(program.verdict(mmap, 0, 0, value) == .notify)
  }
  for value in [0x1_0000_0007, .max] as [UInt64] { #expect(program.verdict(mmap, 0, 0, value) == .errno(38)) }
}

@Test func `conditions that would need too many rules are refused`() {
  // 64 rules tell two values apart, and each of the 64 is told from every other argument's.
  let values = (0..<5).map { index in
    SeccompRule(["mmap"], .errno(1), where: (0...index).map { SeccompArgument($0, .maskedEqual, .max >> 1, 5) })
  }
  let masks = (0..<5).map { SeccompRule(["mmap"], .errno(1), where: [SeccompArgument($0, .maskedEqual, .max >> 1, 9)]) }
  var base = section(.allow)
  base.rules = masks + values
  let error = #expect(throws: Refusal.self) { try merge(trapsAll, into: base) }
  #expect(error?.code == .filterNotProven)
  #expect(error?.message.contains("'mmap'") == true)
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

// MARK: whatever the profile says

private let profilesAboutExec = [
  profile([Trap("connect")]), profile([Trap("execve")]), profile([Trap("execveat")]),
  profile([
    Trap("execve", where: Condition(argument: 1, mask: 1, relation: .anySet)),
    Trap("execveat", where: Condition(argument: 4, mask: 0x1000, relation: .allSet)),
  ]),
]

@Test(arguments: profilesAboutExec) func `execve and execveat notify always, trapped or not`(profile: Profile) throws {
  let log = SeccompRule(["execve", "execveat"], .log)
  let zero = SeccompRule(["execve", "execveat"], .errno(13), where: [SeccompArgument(0, .equal, 0)])
  for base in [.none, section(.log), try podmanDefault(), section(.errno(1), log), section(.allow, zero)] {
    let program = try merged(base, profile)
    for number in [execve, execveat] {
      for value in [1, 0x1000, .max] as [UInt64] {
        #expect(program.verdict(number, value, value, value, value, value) == .notify)
      }
    }
  }
  let standalone = try Program(bytes: try compileStandalone(profile))
  #expect([standalone.verdict(execve), standalone.verdict(execveat)] == [.notify, .notify])
  // What is judged is the profile's to say.
  #expect(try resolve(profile).map(\.syscall) == profile.traps.map(\.syscall))
}

@Test func `where the base or the profile refuses an exec it stays refused`() throws {
  let connect = [Trap("connect")]
  let base = section(.allow, SeccompRule(["execveat"], .errno(13)))
  #expect(try merged(base, profile(connect)).verdict(execveat) == .errno(13))
  #expect(try merged(section(.errno(38)), profile(connect)).verdict(execve) == .errno(38))
  #expect(try merged(.none, profile(connect, never: ["execveat"])).verdict(execveat) == .errno(1))
}

/// What prctl's option is to the kernel: an int, whatever the upper half of the register holds.
private let setMM: [UInt64] = [35, 0x1_0000_0023, 0xffff_ffff_0000_0023, 0x8000_0000_0000_0023]
private let otherOptions: [UInt64] = [
  0, 1, 3, 15, 22, 32, 33, 34, 36, 37, 38, 39, 43, 51, 67, 0x59616d61, 0x5356_4d41, 0x8000_0023, 0xffff_ffff, 0x23_0000_0000,
  0x23_0000_0022, .max,
]

@Test(
  arguments: [
    (.none, .allow), (section(.log), .log), (section(.errno(13), SeccompRule(["prctl"], .allow)), .allow),
    (section(.killProcess, SeccompRule(["prctl"], .log)), .log),
    (section(.allow, SeccompRule(["prctl"], .log, where: [SeccompArgument(1, .notEqual, 77)])), .log),
    (section(.errno(38), SeccompRule(["prctl"], .allow, where: [SeccompArgument(0, .lessOrEqual, .max)])), .allow),
  ] as [(Seccomp, SeccompAction)])
func `prctl(PR_SET_MM) is refused and the rest of prctl is not`(base: Seccomp, rest: SeccompAction) throws {
  for profile in [trapsExecutable, try defaultProfile()] {
    let program = try merged(base, profile)
    for option in setMM { for what in [0, 14, .max] as [UInt64] { #expect(program.verdict(prctl, option, what) == .errno(1)) } }
    for option in otherOptions { #expect(program.verdict(prctl, option) == rest) }
  }
}

/// libseccomp 2.5.4 compiles a refusal by another argument together with the 32 parts of "not PR_SET_MM" wrongly: that is found out.
@Test func `a base that libseccomp cannot combine with it is refused`() throws {
  let base = section(.allow, SeccompRule(["prctl"], .errno(13), where: [SeccompArgument(1, .equal, 77)]))
  let error = #expect(throws: Refusal.self) { _ = try merged(base, trapsExecutable) }
  #expect(error?.code == .filterNotProven)
}

@Test func `what the base and the profile say of prctl otherwise is kept`() throws {
  let few = section(
    .errno(38), SeccompRule(["prctl"], .allow, where: [SeccompArgument(0, .equal, 15)]),
    SeccompRule(["prctl"], .allow, where: [SeccompArgument(0, .equal, 35), SeccompArgument(1, .equal, 9)]))
  let program = try merged(few, trapsExecutable)
  #expect(program.verdict(prctl, 15) == .allow)
  #expect(program.verdict(prctl, 35, 9) == .errno(1))
  #expect(program.verdict(prctl, 35, 8) == .errno(38))
  #expect(program.verdict(prctl, 16) == .errno(38))

  let refusing = section(.allow, SeccompRule(["prctl"], .errno(13), where: [SeccompArgument(0, .equal, 35)]))
  #expect(try merged(refusing, trapsExecutable).verdict(prctl, 35) == .errno(13))
  #expect(try merged(refusing, trapsExecutable).verdict(prctl, 0x1_0000_0023) == .errno(1))
  #expect(try merged(section(.allow, SeccompRule(["prctl"], .errno(13))), trapsExecutable).verdict(prctl, 35) == .errno(13))

  let trapping = profile([Trap("prctl", where: Condition(argument: 0, mask: 6, relation: .allSet))])
  for base in [.none, section(.errno(38), SeccompRule(["prctl"], .allow))] {
    let program = try merged(base, trapping)
    for option in setMM { #expect(program.verdict(prctl, option) == .errno(1)) }
    for option in otherOptions { #expect(program.verdict(prctl, option) == (option & 6 == 6 ? .notify : .allow)) }
  }
}

/// open_tree_attr, file_setattr, x86-64's own for x32, and what is to come.
private let nameless: [UInt32] = [467, 469, 470, 511, 512, 547, 1023, 1024, 1025, 65535, 0x3fff_ffff, .max]

@Test func `a call without a name is allowed by no section`() throws {
  for base in [.none, section(.log), section(.allow, SeccompRule(["mmap"], .errno(13), where: [whereExecutable]))] {
    let program = try merged(base, try defaultProfile())
    for number in nameless where callNames[Int32(bitPattern: number)] == nil { #expect(program.verdict(number) == .errno(38)) }
    #expect(program.verdict(0) == base.defaultAction)
    #expect(program.verdict(449) == base.defaultAction)
  }
  for base in [section(.errno(1)), section(.killProcess), try podmanDefault()] {
    #expect(try merged(base, try defaultProfile()).verdict(1000) == base.defaultAction.normalised)
  }
}

@Test func `every call with a name answers as an allowing base has it`() throws {
  let base = section(
    .allow, SeccompRule(["ptrace"], .errno(13)), SeccompRule(["socket"], .errno(97), where: [SeccompArgument(0, .equal, 16)]),
    SeccompRule(["socket"], .errno(22), where: [SeccompArgument(0, .equal, 40)]), SeccompRule(["uname"], .log),
    SeccompRule(["no_such_call", "bpf"], .errno(1)), SeccompRule(["another_such_call", "getpid"], .log))
  let result = try merge(trapsExecutable, into: base)
  try prove(result, over: base, for: trapsExecutable)
  let (before, after) = (try compile(base), try compile(result))
  let special = Set([mmap, execve, execveat, prctl] + ioUring.map { UInt32(syscallNumber($0)!) })
  for number in callNames.keys.map(UInt32.init) where !special.contains(number) {
    for argument in [0, 16, 40, .max] as [UInt64] { #expect(after.verdict(number, argument) == before.verdict(number, argument)) }
  }
  // The runtime's libseccomp may know what ours does not: a refusal stays written, an allowance does not.
  #expect(result.rules.contains { $0.names.contains("no_such_call") })
  #expect(!result.rules.contains { $0.names.contains("another_such_call") })
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
  for bad in [lost, loosened, changed, forgotten] { expectNotProven(bad, over: base, for: trapsExecutable) }
}

private func expectNotProven(_ bad: Seccomp, over base: Seccomp, for profile: Profile, at place: SourceLocation = #_sourceLocation) {
  let error = #expect(throws: Refusal.self, sourceLocation: place) { try prove(bad, over: base, for: profile) }
  #expect(error?.code == .filterNotProven, sourceLocation: place)
}

extension Seccomp {
  /// Without the rules of `name`, and with others in their place.
  fileprivate func replacing(_ name: String, with rules: [SeccompRule]) -> Seccomp {
    var result = self
    for place in result.rules.indices { result.rules[place].names.removeAll { $0 == name } }
    result.rules.removeAll { $0.names.isEmpty }
    result.rules += rules
    return result
  }
}

@Test func `the proof notices an exec that does not notify, PR_SET_MM, an open default and a call that is too much`() throws {
  let profile = profile([Trap("connect")])
  for base in [.none, section(.errno(38), SeccompRule(["execve", "execveat", "prctl", "read"], .allow))] {
    let good = try merge(profile, into: base)
    try prove(good, over: base, for: profile)
    let sometimes = [SeccompArgument(0, .notEqual, 0)]
    for name in ["execve", "execveat"] {
      expectNotProven(good.replacing(name, with: [SeccompRule([name], .allow)]), over: base, for: profile)
      expectNotProven(good.replacing(name, with: [SeccompRule([name], .notify, where: sometimes)]), over: base, for: profile)
    }
    expectNotProven(good.replacing("prctl", with: [SeccompRule(["prctl"], .allow)]), over: base, for: profile)
    expectNotProven(good.replacing("prctl", with: [SeccompRule(["prctl"], .errno(1))]), over: base, for: profile)
    // 35 in the whole register is not the kernel's 35.
    let whole = [SeccompRule(["prctl"], .allow, where: [SeccompArgument(0, .notEqual, 35)])]
    expectNotProven(good.replacing("prctl", with: whole), over: base, for: profile)
    expectNotProven(good.replacing("read", with: []), over: base, for: profile)

    var open = good
    open.defaultAction = .allow
    open.rules.removeAll { $0.action == .allow && $0.arguments.isEmpty }
    expectNotProven(open, over: base, for: profile)
    var foreign = good
    foreign.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    expectNotProven(foreign, over: base, for: profile)
    foreign.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]
    expectNotProven(foreign, over: base, for: profile)
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
  "prctl", "execveat", "mmap", "clone", "personality", "execve", "socket", "clone3", "io_uring_setup", "read", "shmat", "kexec_load",
]
private let interesting: [UInt64] = [
  0, 1, 35, 0x1_0000_0023, 3, 4, 5, 7, 8, 0x20000, 0x0040_0000, 0x1000_0000, 0x7E02_0000, 0xffff_ffff, .max,
]

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

@Test(arguments: [1, 2, 4, 5]) func `whatever the base, a merge is right or refused`(seed: UInt64) throws {
  var random = Seeded(state: seed)
  // Of its own: what becomes of one base does not change the next.
  var asking = Seeded(state: ~seed)
  let profiles = [try defaultProfile()] + profilesAboutExec
  var proven = 0
  for _ in 0..<40 {
    let base = randomBase(&random)
    let profile = profiles.randomElement(using: &random)!
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
    for _ in 0..<200 {
      let isNameless = Int.random(in: 0..<20, using: &asking) == 0
      var call = Call(
        isNameless ? nameless.randomElement(using: &asking)! : UInt32(syscallNumber(calls.randomElement(using: &asking)!)!))
      for index in 0..<3 {
        call.arguments[index] =
          Bool.random(using: &asking)
          ? interesting.randomElement(using: &asking)! : asking.next() >> UInt64.random(in: 0...63, using: &asking)
      }
      let (old, new) = (before.evaluate(call)!, after.evaluate(call)!)
      #expect(try isRight(old, new, call, profile), "\(call) in \(base): \(old) became \(new)")
    }
  }
  #expect(proven > 15, "the test proves too little: \(proven) of 40")
}

/// The demands once more, as simply as they can be said.
private func isRight(_ old: UInt32, _ new: UInt32, _ call: Call, _ profile: Profile) throws -> Bool {
  let isAllowed = old == SeccompAction.allow.code || old == SeccompAction.log.code
  let mayRun = new == SeccompAction.allow.code || new == SeccompAction.log.code || new == SeccompAction.notify.code
  if profile.never.contains(where: { syscallNumber($0)! == call.number })
    || (profile.absent + ioUring).contains(where: { syscallNumber($0)! == call.number })
  {
    return !mayRun
  }
  if !isAllowed { return new == old }
  if callNames[Int32(bitPattern: call.number)] == nil { return new == SeccompAction.errno(38).code }
  if call.number == prctl, UInt32(truncatingIfNeeded: call.arguments[0]) == 35 { return new == SeccompAction.errno(1).code }
  if call.number == execve || call.number == execveat { return new == SeccompAction.notify.code }
  if call.number == clone, call.arguments[1] != 0 { return new == SeccompAction.notify.code }
  guard let trap = try resolve(profile).first(where: { $0.number == call.number }),
    trap.condition.map({ $0.holds(for: call.arguments[$0.argument]) }) ?? true
  else { return new == old }
  return new == SeccompAction.notify.code
}
