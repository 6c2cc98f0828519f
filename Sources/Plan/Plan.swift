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
  package var onViolation: Action
  /// The runtimes that the profile declares.
  package var jit: Set<JITRuntime>
  package var permissions: Set<Permission>
  package var paths: [PathRule]
  package var modules: [PathModule]
  /// The filter refuses clone3, whose arguments nobody can see: each thread that starts is heard of.
  package var seesThreadStarts: Bool
  /// The filter has SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: a thread that waits for an answer cannot be stopped meanwhile.
  package var waitKillable: Bool

  package init(
    id: String, bundle: String, paths: StatePaths, runtimeProcess: Int32?, runtime: RuntimeKind, mode: Mode, profile: Profile,
    profileDigest: String, traps: [ResolvedTrap], waitKillable: Bool
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
    checks = profile.checks
    unknown = profile.unknown
    depth = profile.depth
    onViolation = profile.onViolation
    jit = profile.jit
    permissions = profile.permissions
    self.paths = profile.paths
    modules = profile.modules
    seesThreadStarts = (profile.absent + profile.never).contains("clone3")
    self.waitKillable = waitKillable
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
