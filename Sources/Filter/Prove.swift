package import Diagnostics
package import OCI
package import Profile

/// Compiles what the runtime would have installed and what it will install, and compares what they do, call by call.
///
/// Every number up to beyond the last that the kernel has, under every condition that either section or the profile puts on it: each
/// bound and its neighbours, each bit of a mask. Throws where something refused became allowed, was refused otherwise, or where a
/// trapped call would not notify. Reading the section could not tell: libseccomp loses rules without an error.
package func prove(_ merged: Seccomp, over base: Seccomp, for profile: Profile) throws(Refusal) {
  var native = base
  native.architectures = []
  let before = try compile(native)
  let after = try compile(merged)
  let traps = Dictionary(try resolve(profile).map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
  let refused = Set((profile.never + profile.absent + ioUring).compactMap(syscallNumber))
  let comparisons = ComparisonsByCall(base.rules + merged.rules)

  for number in 0..<beyondLastCall {
    let trap = traps[number]
    for arguments in points(comparisons.byNumber[number] ?? [], trap?.condition) {
      let call = Call(UInt32(number), arguments: arguments)
      guard let old = before.evaluate(call), let new = after.evaluate(call) else {
        throw Refusal(.filterNotProven, "the compiled filter is none that the kernel would load")
      }
      if let problem = compare(old, new, call, trap, isRefused: refused.contains(number)) {
        throw Refusal(.filterNotProven, "the merged filter is wrong for the system call \(describe(call, trap)): \(problem)")
      }
    }
  }
  try proveOthersAreKilled(after)
}

/// Linux 6.18 ends at 469; what comes later is allowed only where the base's default allows it.
private let beyondLastCall: Int32 = 1024

private func compare(_ old: UInt32, _ new: UInt32, _ call: Call, _ trap: ResolvedTrap?, isRefused: Bool) -> String? {
  if !allows(old) {
    if isRefused { return allows(new) || new == notify ? "the base refuses it, the result does not" : nil }
    return new == old ? nil : "the base answers \(hex(old)), the result \(hex(new))"
  }
  if isRefused { return allows(new) || new == notify ? "it should be refused" : nil }
  guard let trap else { return new == old ? nil : "the base answers \(hex(old)), the result \(hex(new))" }
  let holds = trap.condition.map { $0.holds(for: call.arguments[$0.argument]) } ?? true
  if new == notify { return nil }
  if holds { return "it is trapped and would not notify" }
  return new == old ? nil : "the base answers \(hex(old)), the result \(hex(new))"
}

private let notify: UInt32 = SeccompAction.notify.code

private func allows(_ code: UInt32) -> Bool { code == SeccompAction.allow.code || code == SeccompAction.log.code }

private func hex(_ code: UInt32) -> String { "0x" + String(code, radix: 16) }

private func describe(_ call: Call, _ trap: ResolvedTrap?) -> String {
  let name = trap.map { "\($0.syscall) (\(call.number))" } ?? "\(call.number)"
  let arguments = (0..<6).map { "0x" + String(call.arguments[$0], radix: 16) }
  return "\(name) with arguments \(arguments.joined(separator: ", "))"
}

/// i386 and x32 have numbers of their own, which no trap names.
private func proveOthersAreKilled(_ program: Program) throws(Refusal) {
  for number in 0..<UInt32(beyondLastCall) {
    for call in [Call(number, architecture: Call.i386), Call(number | Call.x32Bit)] {
      guard let code = program.evaluate(call), code == SeccompAction.killThread.code || code == SeccompAction.killProcess.code
      else {
        throw Refusal(.filterNotProven, "the merged filter does not kill a call of another architecture")
      }
    }
  }
}

// MARK: where to look

/// All comparisons that any rule makes on a call, by its number.
private struct ComparisonsByCall {
  var byNumber: [Int32: [SeccompArgument]] = [:]

  init(_ rules: [SeccompRule]) {
    for rule in rules where !rule.arguments.isEmpty {
      for name in rule.names {
        guard let number = syscallNumber(name) else { continue }
        byNumber[number, default: []] += rule.arguments
      }
    }
  }
}

/// The most vectors tried of one call's product of axes; a larger one is thinned out evenly.
private let maxPoints = 16384

/// Argument vectors that lie on every side of every comparison.
private func points(_ comparisons: [SeccompArgument], _ condition: Condition?) -> [[6 of UInt64]] {
  var values: [Int: Set<UInt64>] = [:]
  for comparison in comparisons { values[comparison.index, default: []].formUnion(interesting(comparison)) }
  if let condition { values[condition.argument, default: []].formUnion(interesting(condition.mask)) }
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
