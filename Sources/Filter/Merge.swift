package import Diagnostics
package import OCI
package import Profile

/// Lays a profile over the section that the engine gave the container.
///
/// - What the base refuses stays refused, in the same way.
/// - What it allows and the profile traps becomes NOTIFY.
/// - What the profile never wants, what it wants absent, and io_uring are refused if they were not.
/// - Everything but x86-64 is killed: the only architecture left is x86-64, and libseccomp kills the others and x32.
///
/// libseccomp lets an unconditional rule swallow conditional ones and decides overlapping ones by an order of its own, so the rules of
/// every call that is touched are rewritten to exclude one another. The result is not trusted: see `prove`.
package func merge(_ profile: Profile, into base: Seccomp) throws(Refusal) -> Seccomp {
  try refuseUnmergeable(base)
  var touched: [Int32: Treatment] = [:]
  for trap in try resolve(profile) { touched[trap.number] = .trap(trap.syscall, trap.condition) }
  for name in profile.absent + ioUring { touched[try requireNumber(name, profile)] = .refuse(name, .errno(ENOSYS)) }
  for name in profile.never { touched[try requireNumber(name, profile)] = .refuse(name, .errno(EPERM)) }

  var merged = base
  merged.architectures = ["SCMP_ARCH_X86_64"]
  var rulesOfTouched: [Int32: [SeccompRule]] = [:]
  merged.rules = []
  for rule in base.rules {
    var untouched = rule
    untouched.names = rule.names.filter { name in
      guard let number = syscallNumber(name), touched[number] != nil else { return true }
      rulesOfTouched[number, default: []] += alternatives(rule).filter { $0.action != base.defaultAction.normalised }
      return false
    }
    if !untouched.names.isEmpty { merged.rules.append(untouched) }
  }
  var new: [SeccompRule] = []
  for (number, treatment) in touched.sorted(by: { $0.key < $1.key }) {
    let rules = BaseRules(rulesOfTouched[number] ?? [], default: base.defaultAction.normalised)
    switch treatment {
    case .trap(let name, let condition): new += try rules.trapped(name, where: condition)
    case .refuse(let name, let action): new += rules.refused(name, with: action)
    }
  }
  merged.rules += joiningNames(new)
  return merged
}

private let EPERM: UInt16 = 1
private let ENOSYS: UInt16 = 38
/// Its submissions are calls that no filter sees.
package let ioUring = ["io_uring_setup", "io_uring_enter", "io_uring_register"]

private enum Treatment {
  case trap(String, Condition?)
  case refuse(String, SeccompAction)
}

private func refuseUnmergeable(_ base: Seccomp) throws(Refusal) {
  if !base.architectures.isEmpty, !base.architectures.contains("SCMP_ARCH_X86_64") {
    throw Refusal(
      .unsupportedHost, "the container's seccomp section is for \(base.architectures.joined(separator: ", ")), not x86-64")
  }
  for action in [base.defaultAction] + base.rules.map(\.action) {
    switch action {
    case .notify:
      throw Refusal(
        .conflictingListener, "the container's seccomp section asks for notifications of its own: one filter has one listener")
    case .trace:
      throw Refusal(
        .badBundle, "the container's seccomp section uses SCMP_ACT_TRACE, by which a process of the container could allow calls")
    case .killProcess, .killThread, .trap, .allow, .log, .errno: continue
    }
  }
}

/// As both runtimes feed a rule to libseccomp: several comparisons of one argument are alternatives, one rule each.
func alternatives(_ rule: SeccompRule) -> [SeccompRule] {
  let action = rule.action.normalised
  if Set(rule.arguments.map(\.index)).count == rule.arguments.count {
    return [SeccompRule([], action, where: rule.arguments)]
  }
  return rule.arguments.map { SeccompRule([], action, where: [$0]) }
}

/// What the base says about one call: rules that differ from the default, in their order.
private struct BaseRules {
  let rules: [SeccompRule]
  let defaultAction: SeccompAction

  init(_ rules: [SeccompRule], default defaultAction: SeccompAction) {
    // The first unconditional rule wins over all others, wherever it stands (libseccomp 2.5.4, measured).
    self.rules = rules.first { $0.arguments.isEmpty }.map { [$0] } ?? rules
    self.defaultAction = defaultAction
  }

  /// Nothing that reaches this call is allowed.
  var refusesAlways: Bool {
    if let only = rules.first, only.arguments.isEmpty { return !only.action.allows }
    return !defaultAction.allows && !rules.contains { $0.action.allows }
  }

  func refused(_ name: String, with action: SeccompAction) -> [SeccompRule] {
    if refusesAlways { return rules.map { SeccompRule([name], $0.action, where: $0.arguments) } }
    return action == defaultAction ? [] : [SeccompRule([name], action)]
  }

  func trapped(_ name: String, where condition: Condition?) throws(Refusal) -> [SeccompRule] {
    var out: [SeccompRule] = []
    func add(_ regions: [Region], _ action: SeccompAction) {
      if action == defaultAction { return }
      out += regions.map { SeccompRule([name], action, where: $0.arguments) }
    }
    for rule in rules where !rule.action.allows { out.append(SeccompRule([name], rule.action, where: rule.arguments)) }

    for rule in rules where rule.action.allows {
      switch Region.of(rule.arguments) {
      case .empty: continue
      case .inexpressible: preconditionFailure("alternatives have one comparison an argument")
      case .some(let region):
        guard let condition, let holding = region.within(condition.argument, condition.holding),
          let failing = region.within(condition.argument, condition.failing)
        else {
          // Always trapped, or no rule can say both: the supervisor looks at the condition again and lets the rest go on.
          add([region], .notify)
          continue
        }
        add(holding, .notify)
        add(failing, rule.action)
      }
    }
    let isUnconditional = rules.first?.arguments.isEmpty == true
    if defaultAction.allows, !isUnconditional { add(try allowedByDefault(name, condition), .notify) }
    return out
  }

  /// Where the default allows, the condition holds, and no rule says otherwise.
  private func allowedByDefault(_ name: String, _ condition: Condition?) throws(Refusal) -> [Region] {
    var regions = [Region.everything]
    if let condition { regions = Region.everything.within(condition.argument, condition.holding) ?? regions }
    for rule in rules {
      guard case .some(let taken) = Region.of(rule.arguments) else { continue }
      var left: [Region] = []
      for region in regions {
        guard let parts = region.subtracting(taken) else { throw inexpressible(name) }
        left += parts
      }
      // Each region is a rule, and a filter holds 4096 instructions.
      guard left.count <= 256 else { throw inexpressible(name) }
      regions = left
    }
    return regions
  }

  private func inexpressible(_ name: String) -> Refusal {
    Refusal(
      .filterNotProven,
      "the conditions that the container's seccomp section puts on '\(name)' cannot be combined with the profile's",
      hint: "simplify the rules for '\(name)', or let the section's default refuse")
  }
}

/// Rules that say the same of several calls become one, as a person would write them.
private func joiningNames(_ rules: [SeccompRule]) -> [SeccompRule] {
  struct Key: Hashable {
    let action: SeccompAction
    let arguments: [SeccompArgument]
  }
  var order: [Key] = []
  var names: [Key: [String]] = [:]
  for rule in rules {
    let key = Key(action: rule.action, arguments: rule.arguments)
    if names[key] == nil { order.append(key) }
    names[key, default: []] += rule.names
  }
  return order.map { SeccompRule(names[$0]!, $0.action, where: $0.arguments) }
}
