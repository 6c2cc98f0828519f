package import Diagnostics
internal import Kernel
package import Plan

extension StatePaths.Environment {
  /// That of this process.
  package static func own() throws(Refusal) -> StatePaths.Environment {
    do throws(SyscallError) {
      return StatePaths.Environment(
        isRoot: try isInitialRoot(), runtimeDirectory: environment("XDG_RUNTIME_DIR"), stateHome: environment("XDG_STATE_HOME"),
        home: environment("HOME"))
    } catch { throw Refusal(.stateDirectory, error.plain) }
  }
}

/// The files that a container's state directory can hold.
package enum StateFile {
  /// Who supervises the container: pid, profile, since when. The socket's name is StatePaths'.
  package static let supervisor = "supervisor.json"
  /// Why a process of the container was killed, if one was.
  package static let exitReason = "exit-reason.json"
}

/// Makes the container's directory, ours alone. One that a dead supervisor left is emptied; one with a live supervisor belongs to a
/// container that exists.
func claimStateDirectory(of plan: Plan) throws(Refusal) {
  let base = try StatePaths.base(try StatePaths.Environment.own())
  let owner: FileIdentity
  let isNew: Bool
  do throws(SyscallError) {
    try makeDirectory(base, mode: 0o700)
    owner = try identity(of: base)
    isNew = try makeDirectory(plan.stateDirectory, mode: 0o700)
  } catch { throw Refusal(.stateDirectory, error.plain) }
  guard owner.isDirectory, owner.owner == effectiveUser, owner.mode & 0o022 == 0 else {
    throw Refusal(.stateDirectory, "cannot use '\(base)': it must be a directory of this user that nobody else can write")
  }
  if isNew { return }
  guard goesSilent(plan.socketPath) else {
    throw Refusal(.stateDirectory, "a container '\(plan.id)' is already supervised", hint: "delete it first, or choose another id")
  }
  do throws(SyscallError) {
    // Its supervisor, which has just ended, may have taken it away meanwhile.
    do throws(SyscallError) { try emptyDirectory(plan.stateDirectory) } catch { if !error.isNotFound { throw error } }
    try makeDirectory(plan.stateDirectory, mode: 0o700)
  } catch { throw Refusal(.stateDirectory, error.plain) }
}

/// Removes a container's directory, if it is there. It is flat.
package func removeStateDirectory(_ directory: String) throws(Refusal) {
  do throws(SyscallError) {
    try emptyDirectory(directory)
    try removeDirectory(directory)
  } catch {
    // The supervisor removes it too, and may be faster.
    if !error.isNotFound { throw Refusal(.stateDirectory, error.plain) }
  }
}

private func emptyDirectory(_ directory: String) throws(SyscallError) {
  for name in try list(directory) { try remove("\(directory)/\(name)") }
}

/// The supervisor of a container that has just ended needs a moment to notice.
private func goesSilent(_ path: String) -> Bool {
  let deadline = monotonicMilliseconds() + 3000
  while UnixSocket.hasListener(at: path) {
    guard monotonicMilliseconds() < deadline else { return false }
    pause(milliseconds: 20)
  }
  return true
}
