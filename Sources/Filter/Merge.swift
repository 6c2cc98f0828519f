package import Diagnostics
package import OCI
package import Profile

/// Lays a profile over the section that the engine gave the container.
///
/// - What the base refuses stays refused, in the same way.
/// - What it allows and the profile traps becomes NOTIFY; execve, execveat and clone with a stack of its own do so always.
/// - What the profile never wants, what it wants absent, io_uring and prctl(PR_SET_MM) are refused if they were not.
/// - A base that allows by default allows what libseccomp has a name for, and no call that came later: nobody could trap those.
/// - Everything but x86-64 is killed: the only architecture left is x86-64, and libseccomp kills the others and x32.
///
/// libseccomp lets an unconditional rule swallow conditional ones and decides overlapping ones by an order of its own, so the rules of
/// every call that is touched are rewritten to exclude one another. The result is not trusted: see `prove`.
package func merge(_ profile: Profile, into base: Seccomp) throws(Refusal) -> Seccomp {
  try refuseUnmergeable(base)
  let defaultAction = base.defaultAction.normalised
  var treatments = try treatments(profile)
  if defaultAction.allows {
    for (number, name) in callNames where treatments[number] == nil { treatments[number] = Treatment(name: name) }
  }

  var merged = base
  merged.architectures = ["SCMP_ARCH_X86_64"]
  if defaultAction.allows { merged.defaultAction = .errno(ENOSYS) }
  merged.rules = []
  var rulesOfTouched: [Int32: [SeccompRule]] = [:]
  for rule in base.rules {
    var untouched = rule
    untouched.names = rule.names.filter { name in
      guard let number = syscallNumber(name), treatments[number] != nil else { return true }
      rulesOfTouched[number, default: []] += alternatives(rule).filter { $0.action != defaultAction }
      return false
    }
    // Under an allowing default only names are left that x86-64 does not have here: the runtime's libseccomp may know one.
    if untouched.names.isEmpty || defaultAction.allows && rule.action.allows { continue }
    merged.rules.append(untouched)
  }
  var new: [SeccompRule] = []
  for (number, treatment) in treatments.sorted(by: { $0.key < $1.key }) {
    let rules = BaseRules(rulesOfTouched[number] ?? [], default: defaultAction, mergedDefault: merged.defaultAction.normalised)
    new += try rules.treated(treatment)
  }
  merged.rules += joiningNames(new)
  return merged
}

/// What is made of one call where the base allows it; the first that is set says so.
private struct Treatment {
  let name: String
  var refusal: SeccompAction?
  /// Refused with EPERM.
  var forbidden: Region?
  var trap: Notified?
}

private func treatments(_ profile: Profile) throws(Refusal) -> [Int32: Treatment] {
  var treatments = try notifying(profile).mapValues { Treatment(name: $0.syscall, trap: $0) }
  for part in ForbiddenPart.all {
    treatments[try requireNumber(part.syscall, profile), default: Treatment(name: part.syscall)].forbidden = .of([part.argument])
  }
  for name in profile.absent + ioUring {
    treatments[try requireNumber(name, profile)] = Treatment(name: name, refusal: .errno(ENOSYS))
  }
  for name in profile.never { treatments[try requireNumber(name, profile)] = Treatment(name: name, refusal: .errno(EPERM)) }
  return treatments
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
  /// What the rules that are made need not say.
  let mergedDefault: SeccompAction

  init(_ rules: [SeccompRule], default defaultAction: SeccompAction, mergedDefault: SeccompAction) {
    // The first unconditional rule wins over all others, wherever it stands (libseccomp 2.5.4, measured).
    self.rules = rules.first { $0.arguments.isEmpty }.map { [$0] } ?? rules
    self.defaultAction = defaultAction
    self.mergedDefault = mergedDefault
  }

  private var isUnconditional: Bool { rules.first?.arguments.isEmpty == true }

  /// Nothing that reaches this call is allowed.
  private var refusesAlways: Bool {
    if isUnconditional { return !rules[0].action.allows }
    return !defaultAction.allows && !rules.contains { $0.action.allows }
  }

  func treated(_ treatment: Treatment) throws(Refusal) -> [SeccompRule] {
    var out = Rules(name: treatment.name, defaultAction: mergedDefault)
    if let refusal = treatment.refusal, !refusesAlways {
      out.add(.everything, refusal)
      return out.rules
    }
    if let trap = treatment.trap, trap.conditions.contains(where: { $0.isAnyValue && !canMeetAnyValue(of: $0.argument) }) {
      throw tooManyParts(treatment.name)
    }
    for rule in rules where !rule.action.allows { out.add(rule.arguments, rule.action) }
    for (region, action) in try allowed(treatment.name) {
      var free = [region]
      if let forbidden = treatment.forbidden {
        let parts = region.divided(by: forbidden)
        for part in parts.inside { out.add(part, .errno(EPERM)) }
        free = parts.outside
      }
      for part in free {
        guard let trap = treatment.trap else {
          out.add(part, action)
          continue
        }
        if trap.conditions.isEmpty { out.add(part, .notify) }
        var rest = trap.conditions.isEmpty ? [] : [part]
        for condition in trap.conditions {
          for holding in rest.flatMap({ $0.within(condition.argument, condition.holding) }) { out.add(holding, .notify) }
          rest = rest.flatMap { $0.within(condition.argument, condition.failing) }
        }
        for failing in rest { out.add(failing, action) }
      }
    }
    guard out.rules.count <= maxRules else { throw tooManyParts(treatment.name) }
    return out.rules
  }

  /// libseccomp 2.5.4 takes minutes, or no end of them, over a few rules that say "not 0" of one argument and order the values of another.
  /// What the engines say of clone's flags, and anybody is likely to say, are masks.
  private func canMeetAnyValue(of argument: Int) -> Bool {
    rules.allSatisfy { rule in
      rule.arguments.allSatisfy { $0.index != argument && ($0.relation == .maskedEqual || $0.relation == .equal) }
    }
  }

  /// Where the base allows, and how: by its rules, and by its default where no rule says otherwise.
  private func allowed(_ name: String) throws(Refusal) -> [(Region, SeccompAction)] {
    var allowed: [(Region, SeccompAction)] = []
    for rule in rules where rule.action.allows { if let region = Region.of(rule.arguments) { allowed.append((region, rule.action)) } }
    if !defaultAction.allows || isUnconditional { return allowed }
    var rest = [Region.everything]
    for rule in rules {
      guard let taken = Region.of(rule.arguments) else { continue }
      rest = rest.flatMap { $0.divided(by: taken).outside }
      guard rest.count <= maxRules else { throw tooManyParts(name) }
    }
    return allowed + rest.map { ($0, defaultAction) }
  }
}

/// The most rules of one call. libseccomp 2.5.4 takes minutes over some sets of 256; "not this value" is 64, and 128 under a condition.
private let maxRules = 160

private func tooManyParts(_ name: String) -> Refusal {
  Refusal(
    .filterNotProven,
    "the conditions that the container's seccomp section puts on '\(name)' cannot be combined with the profile's: they would be "
      + "more than libseccomp can take",
    hint: "simplify the rules for '\(name)', or let the section's default refuse")
}

/// The rules of one call, none of them twice and none that only repeats the default.
private struct Rules {
  let name: String
  let defaultAction: SeccompAction
  private(set) var rules: [SeccompRule] = []
  private var seen: Set<[SeccompArgument]> = []

  init(name: String, defaultAction: SeccompAction) {
    self.name = name
    self.defaultAction = defaultAction
  }

  mutating func add(_ region: Region, _ action: SeccompAction) { add(region.arguments, action) }

  /// Where the same arguments come with two actions, both stay: libseccomp says that they contradict one another.
  mutating func add(_ arguments: [SeccompArgument], _ action: SeccompAction) {
    if action == defaultAction { return }
    let rule = SeccompRule([name], action, where: arguments)
    if !seen.insert(arguments).inserted, rules.contains(rule) { return }
    rules.append(rule)
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
