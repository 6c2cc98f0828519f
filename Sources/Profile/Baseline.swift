package import Diagnostics
internal import Wire

extension ResolvedProfile {
  /// The stricter of this profile and the administrator's baseline, in everything.
  ///
  /// What either traps, never allows or holds absent is; what only one permits is not; each check, what cannot be judged, each action and the
  /// depth are the stricter one's. Paths are those of one program, so a baseline has none.
  package func within(_ baseline: ResolvedProfile) throws(Refusal) -> ResolvedProfile {
    let (own, base) = (profile, baseline.profile)
    if let place = baseline.origin(of: .path(0)) {
      throw Refusal(
        .badProfile, "\(place.place): profile '\(base.name)' lists paths, which are those of one program: it can be no baseline of all",
        hint: "take them out, or name another profile under policy.baseline")
    }
    var joint = self
    func add(_ item: ProfileItem) {
      for origin in baseline.origins[item] ?? [] where !(joint.origins[item] ?? []).contains(origin) {
        joint.origins[item, default: []].append(origin)
      }
    }
    /// The baseline's word counts, where it is the stricter one: also by what it leaves to the format's default.
    func take(_ item: ProfileItem) {
      let whole = baseline.files.first.map { Origin(profile: $0.profile, file: $0.file, line: 1, column: 1) }
      joint.origins[item] = baseline.origins[item] ?? whole.map { [$0] }
    }

    joint.profile.never = Set(own.never + base.never).sorted()
    joint.profile.absent = Set(own.absent + base.absent).subtracting(joint.profile.never).sorted()
    joint.profile.traps = try own.jointTraps(base).filter { !(joint.profile.never + joint.profile.absent).contains($0.syscall) }
    for name in base.never { add(.never(name)) }
    for name in base.absent { add(.absent(name)) }
    for trap in base.traps { add(.trap(trap.syscall)) }

    for (name, rule) in base.checks where rule.setting > own.checks[name]?.setting ?? .enforce {
      joint.profile.checks[name]?.setting = rule.setting
      take(.check(name))
    }
    if base.unknown > own.unknown {
      joint.profile.unknown = base.unknown
      take(.noUnwindInfo)
    }
    if base.onLimit > own.onLimit {
      joint.profile.onLimit = base.onLimit
      take(.onLimit)
    }
    if base.depth < own.depth {
      joint.profile.depth = base.depth
      take(.depth)
    }
    joint.profile.permissions.formIntersection(base.permissions)
    joint.profile.jit.formIntersection(base.jit)
    if base.onViolation.isStricter(than: own.onViolation) {
      joint.profile.onViolation = base.onViolation
      take(.onViolation)
    }
    joint.profile.floor = ActionFloor(
      onViolation: base.onViolation, checks: base.actions.checks, traps: base.actions.traps)
    // Nobody complains longer than both do.
    switch (own.complainUntil, base.complainUntil) {
    case (let own?, let base?) where base < own:
      joint.profile.complainUntil = base
      take(.complainUntil)
    case (_?, _?), (nil, _): break
    case (_?, nil):
      joint.profile.complainUntil = nil
      joint.origins[.complainUntil] = nil
    }
    let gone =
      own.permissions.subtracting(joint.profile.permissions).map { ProfileItem.permission($0.name) }
      + own.jit.subtracting(joint.profile.jit).map { .jit($0.name) }
    for item in gone { joint.origins[item] = nil }
    let trapped = Set(joint.profile.traps.map(\.syscall))
    joint.origins = joint.origins.filter { item, _ in
      switch item {
      case .trap(let name): trapped.contains(name)
      case .absent(let name): joint.profile.absent.contains(name)
      default: true
      }
    }
    joint.files += baseline.files.filter { !files.contains($0) }
    return joint
  }
}

extension Profile {
  /// What either traps, sorted.
  fileprivate func jointTraps(_ base: Profile) throws(Refusal) -> [Trap] {
    var traps = Dictionary(uniqueKeysWithValues: traps.map { ($0.syscall, $0) })
    for trap in base.traps {
      guard var own = traps[trap.syscall] else {
        // Its action is in the floor; this profile's own is what this profile would have for it.
        traps[trap.syscall] = Trap(trap.syscall, where: trap.condition)
        continue
      }
      if let condition = joined(own.condition, trap.condition) {
        own.condition = condition
      } else if trappableWithCondition.contains(trap.syscall) {
        throw Refusal(
          .badProfile,
          "profile '\(name)' and the baseline '\(base.name)' trap '\(trap.syscall)' under conditions that cannot be joined",
          hint: "let the profile trap it under the baseline's condition")
      } else {
        own.condition = nil
      }
      traps[trap.syscall] = own
    }
    return traps.values.sorted { $0.syscall < $1.syscall }
  }
}
