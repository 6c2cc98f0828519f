package import Diagnostics
package import OCI
package import Profile

/// Compiles what the runtime would have installed and what it will install, and compares what they do, call by call.
///
/// Every number there is, under every condition that either section, the profile or callgate puts on it: each bound and its neighbours,
/// each bit of a mask. Throws where something refused became allowed, was refused otherwise, or where a trapped call would not notify.
/// Reading the section could not tell: libseccomp loses rules without an error.
package func prove(_ merged: Seccomp, over base: Seccomp, for profile: Profile) throws(Refusal) {
  guard merged.architectures == ["SCMP_ARCH_X86_64"] else {
    throw Refusal(.filterNotProven, "the merged section is for other architectures than x86-64, too")
  }
  var native = base
  native.architectures = []
  let before = try Compiled(native)
  let after = try Compiled(merged)
  let demands = try Demands(profile)
  let comparisons = ComparisonsByCall(base.rules + merged.rules)

  for number in numbersToTry(before.dispatch, after.dispatch) {
    let (oldEnd, newEnd) = (before.dispatch.end(for: number), after.dispatch.end(for: number))
    let demand = demands.on(number)
    for arguments in points((comparisons.byNumber[number] ?? []) + demand.forbidden, demand.trap?.conditions ?? []) {
      let call = Call(number, arguments: arguments)
      guard let old = before.program.evaluate(call, after: oldEnd), let new = after.program.evaluate(call, after: newEnd) else {
        throw notLoadable()
      }
      if let problem = compare(old, new, call, demand) {
        throw Refusal(.filterNotProven, "the merged filter is wrong for the system call \(describe(call)): \(problem)")
      }
    }
  }
  try proveOthersAreKilled(after)
}

private struct Compiled {
  let program: Program
  let dispatch: Dispatch

  init(_ section: Seccomp) throws(Refusal) {
    program = try compile(section)
    guard let dispatch = Dispatch(program, architecture: Call.x86_64) else { throw notLoadable() }
    self.dispatch = dispatch
  }
}

private func notLoadable() -> Refusal {
  Refusal(.filterNotProven, "the compiled filter is none that libseccomp makes and the kernel loads")
}

/// What has to be made of a call that the base allows.
private struct Demand {
  /// libseccomp has a name for it.
  var isKnown: Bool
  var isRefused: Bool
  /// Each says where the answer has to be EPERM.
  var forbidden: [SeccompArgument]
  var trap: Notified?
}

private struct Demands {
  let traps: [Int32: Notified]
  let refused: Set<Int32>
  let forbidden: [Int32: [SeccompArgument]]

  init(_ profile: Profile) throws(Refusal) {
    traps = try notifying(profile)
    refused = Set((profile.never + profile.absent + ioUring).compactMap(syscallNumber))
    forbidden = Dictionary(grouping: ForbiddenPart.all) { syscallNumber($0.syscall) ?? -1 }.mapValues { $0.map(\.argument) }
  }

  func on(_ call: UInt32) -> Demand {
    guard let number = Int32(exactly: call), callNames[number] != nil else {
      return Demand(isKnown: false, isRefused: false, forbidden: [], trap: nil)
    }
    return Demand(
      isKnown: true, isRefused: refused.contains(number), forbidden: forbidden[number] ?? [], trap: traps[number])
  }
}

/// What is wrong, or nil.
private func compare(_ old: UInt32, _ new: UInt32, _ call: Call, _ demand: Demand) -> String? {
  func expect(_ wanted: UInt32, _ why: String) -> String? {
    new == wanted ? nil : "\(why), the result answers \(hex(new))"
  }
  if demand.isRefused {
    // The base's own refusal, or the profile's where the base refuses only sometimes.
    return allows(new) || new == notify ? "it should be refused" : nil
  }
  if !allows(old) { return expect(old, "the base answers \(hex(old))") }
  if !demand.isKnown { return expect(SeccompAction.errno(ENOSYS).code, "nobody could trap it, so it should not be there") }
  if demand.forbidden.contains(where: { $0.holds(for: call.arguments[$0.index]) }) {
    return expect(SeccompAction.errno(EPERM).code, "it is forbidden")
  }
  if let trap = demand.trap, trap.applies(to: call.arguments) {
    return expect(notify, "it is trapped")
  }
  return expect(old, "the base answers \(hex(old))")
}

private let notify: UInt32 = SeccompAction.notify.code

private func allows(_ code: UInt32) -> Bool { code == SeccompAction.allow.code || code == SeccompAction.log.code }

private func hex(_ code: UInt32) -> String { "0x" + String(code, radix: 16) }

private func describe(_ call: Call) -> String {
  let name = Int32(exactly: call.number).flatMap { callNames[$0] }.map { "\($0) (\(call.number))" } ?? "\(call.number)"
  let arguments = (0..<6).map { "0x" + String(call.arguments[$0], radix: 16) }
  return "\(name) with arguments \(arguments.joined(separator: ", "))"
}

/// i386 and x32 have numbers of their own, which no trap names.
private func proveOthersAreKilled(_ after: Compiled) throws(Refusal) {
  guard let i386 = Dispatch(after.program, architecture: Call.i386) else { throw notLoadable() }
  // -1 is no x32 call although it has the bit.
  let x32 = after.dispatch.branches.filter { $0.numbers.upperBound >= Call.x32Bit && $0.numbers.lowerBound < .max }
  for branch in i386.branches + x32 {
    switch branch.end {
    case .returns(SeccompAction.killThread.code), .returns(SeccompAction.killProcess.code): continue
    case .returns, .readsArguments:
      throw Refusal(.filterNotProven, "the merged filter does not kill a call of another architecture")
    }
  }
}

// MARK: where to look

/// The kernel's numbers, and beyond them one of each range that neither filter tells apart. Not x32's; -1 is none of them.
private func numbersToTry(_ before: Dispatch, _ after: Dispatch) -> [UInt32] {
  let starts = (before.branches + after.branches).map(\.numbers.lowerBound)
  return Set(0..<UInt32(beyondLastCall)).union(starts).filter { $0 < Call.x32Bit }.sorted() + [.max]
}

/// All comparisons that any rule makes on a call, by its number.
private struct ComparisonsByCall {
  var byNumber: [UInt32: [SeccompArgument]] = [:]

  init(_ rules: [SeccompRule]) {
    for rule in rules where !rule.arguments.isEmpty {
      for name in rule.names {
        guard let number = syscallNumber(name) else { continue }
        byNumber[UInt32(number), default: []] += rule.arguments
      }
    }
  }
}

/// The most vectors tried of one call's product of axes; a larger one is thinned out evenly.
private let maxPoints = 16384

/// Argument vectors that lie on every side of every comparison.
private func points(_ comparisons: [SeccompArgument], _ conditions: [Condition]) -> [[6 of UInt64]] {
  var values: [Int: Set<UInt64>] = [:]
  for comparison in comparisons { values[comparison.index, default: []].formUnion(interesting(comparison)) }
  for condition in conditions { values[condition.argument, default: []].formUnion(interesting(condition.mask)) }
  let axes = values.sorted { $0.key < $1.key }.map { (index: $0.key, values: $0.value.union([0, .max]).sorted()) }
  guard !axes.isEmpty else { return [.init(repeating: 0), .init(repeating: .max)] }

  var total = 1
  for axis in axes {
    let (product, overflow) = total.multipliedReportingOverflow(by: axis.values.count)
    total = overflow ? .max : product
  }
  let step = total <= maxPoints ? 1 : (total / maxPoints) | 1
  var points: [[6 of UInt64]] = []
  var place = 0
  while place < total, points.count < maxPoints {
    var rest = place
    var point: [6 of UInt64] = .init(repeating: 0)
    for axis in axes {
      point[axis.index] = axis.values[rest % axis.values.count]
      rest /= axis.values.count
    }
    points.append(point)
    place += step
  }
  // One axis after the other, so that thinning never leaves a bound out.
  for axis in axes where step > 1 {
    for value in axis.values {
      var point: [6 of UInt64] = .init(repeating: 0)
      point[axis.index] = value
      points.append(point)
    }
  }
  return points
}

private func interesting(_ comparison: SeccompArgument) -> Set<UInt64> {
  var values: Set<UInt64> = [comparison.value, comparison.value &+ 1, comparison.value &- 1]
  guard comparison.relation == .maskedEqual else { return values }
  let wanted = comparison.valueTwo
  values.formUnion([wanted, wanted | ~comparison.value])
  for place in 0..<64 where comparison.value & (1 << UInt64(place)) != 0 { values.insert(wanted ^ (1 << UInt64(place))) }
  return values
}

private func interesting(_ mask: UInt64) -> Set<UInt64> {
  var values: Set<UInt64> = [mask, ~mask]
  for place in 0..<64 where mask & (1 << UInt64(place)) != 0 {
    values.formUnion([1 << UInt64(place), mask & ~(1 << UInt64(place)), ~(1 << UInt64(place))])
  }
  return values
}
