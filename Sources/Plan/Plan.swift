package import Profile
package import Wire

/// All that the supervisor of one container is told: callgate writes it, the supervisor reads it, nobody else has a say.
package struct Plan: Equatable, Sendable {
  /// The container's id, as the engine gave it.
  package var id: String
  /// Absolute path of the bundle; empty for a process outside of any container.
  package var bundle: String
  /// The container's own directory below the state directory, and the socket that the runtime sends the listener to.
  package var stateDirectory: String
  package var socketPath: String
  package var eventsPath: String
  /// The process that is to become the low-level runtime; nil where nobody is to be watched.
  package var runtimeProcess: Int32?
  package var runtime: RuntimeKind
  package var mode: Mode
  package var profileName: String
  package var profileVersion: String
  /// Of the profile's canonical form, as `callgatectl profile list` prints it.
  package var profileDigest: String
  /// One a system call.
  package var traps: [ResolvedTrap]
  /// Every check has an entry.
  package var checks: [String: Setting]
  package var unknown: Setting
  package var depth: Int
  /// What a deeper stack counts as.
  package var onLimit: Setting
  package var actions: ActionRules
  /// Seconds since 1970: until then what would be denied is audited.
  package var complainUntil: Int64?
  /// Which profile gave a setting that the named one inherited, or has from the baseline: by the name that `rule` has in events.
  package var givers: [String: String]
  /// The runtimes that the profile declares.
  package var jit: Set<JITRuntime>
  package var permissions: Set<Permission>
  package var paths: [PathRule]
  package var modules: [PathModule]
  /// The last component of the container's own cgroup, by its config.json; nil where that names none.
  package var cgroup: String?
  /// The filter refuses clone3, whose arguments nobody can see: each thread that starts is heard of.
  package var seesThreadStarts: Bool
  /// The filter has SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: a thread that waits for an answer cannot be stopped meanwhile.
  package var waitKillable: Bool
  /// nil where nothing is recorded.
  package var recording: RecordingPlan?

  package init(
    id: String, bundle: String, paths: StatePaths, runtimeProcess: Int32?, runtime: RuntimeKind, mode: Mode, profile: Profile,
    profileDigest: String, givers: [String: String] = [:], traps: [ResolvedTrap], cgroup: String? = nil, waitKillable: Bool
  ) {
    self.id = id
    self.bundle = bundle
    stateDirectory = paths.directory
    socketPath = paths.socket
    eventsPath = paths.events
    self.runtimeProcess = runtimeProcess
    self.runtime = runtime
    self.mode = mode
    profileName = profile.name
    profileVersion = profile.version
    self.profileDigest = profileDigest
    self.traps = traps
    checks = profile.checks.mapValues(\.setting)
    unknown = profile.unknown
    depth = profile.depth
    onLimit = profile.onLimit
    actions = profile.actions
    complainUntil = profile.complainUntil
    self.givers = givers
    jit = profile.jit
    permissions = profile.permissions
    self.paths = profile.paths
    modules = profile.modules.map { PathModule(name: $0.name, path: $0.path, buildID: $0.buildID) }
    self.cgroup = cgroup
    seesThreadStarts = (profile.absent + profile.never).contains("clone3")
    self.waitKillable = waitKillable
  }
}

extension Plan {
  /// `callgatectl run`'s: there is no container.
  package var isCommand: Bool { bundle.isEmpty }

  /// The names of settings in `givers` and in the `rule` of events, beside those of the checks.
  package static let unknownRule = "unknown"
  package static let onLimitRule = "onLimit"
}

extension ResolvedProfile {
  /// Of the settings, which profile gave it, where that is not this one.
  package var givers: [String: String] {
    let items =
      Profile.checkNames.map { ($0, ProfileItem.check($0)) } + [(Plan.unknownRule, .noUnwindInfo), (Plan.onLimitRule, .onLimit)]
    return Dictionary(
      uniqueKeysWithValues: items.compactMap { name, item in
        origin(of: item).flatMap { $0.profile == profile.name ? nil : (name, $0.profile) }
      })
  }
}

/// Which low-level runtime, as far as its behaviour differs for us.
package enum RuntimeKind: String, CaseIterable, Sendable {
  case crun, runc
  /// Something else that is configured: treated like runc, of which less is expected.
  case other

  /// By the file's name, as podman tells them apart too.
  package init(path: String) {
    let name = path.split(separator: "/").last ?? ""
    self = name.hasPrefix("crun") ? .crun : name.hasPrefix("runc") ? .runc : .other
  }
}
