import Diagnostics
import Kernel
import Plan

extension StatePaths.Environment {
  /// That of this process.
  static func own() throws(Refusal) -> StatePaths.Environment {
    do throws(SyscallError) {
      return StatePaths.Environment(
        isRoot: try isInitialRoot(), runtimeDirectory: environment("XDG_RUNTIME_DIR"), stateHome: environment("XDG_STATE_HOME"),
        home: environment("HOME"))
    } catch { throw Refusal(.stateDirectory, error.plain) }
  }
}

/// Makes the container's directory, ours alone. One that a dead supervisor left is emptied; one with a live supervisor belongs to a
/// container that exists.
func claimStateDirectory(_ paths: StatePaths, id: String) throws(Refusal) {
  let base = try StatePaths.base(try StatePaths.Environment.own())
  let owner: FileIdentity
  let isNew: Bool
  do throws(SyscallError) {
    try makeDirectory(base, mode: 0o700)
    owner = try identity(of: base)
    isNew = try makeDirectory(paths.directory, mode: 0o700)
  } catch { throw Refusal(.stateDirectory, error.plain) }
  guard owner.isDirectory, owner.owner == effectiveUser, owner.mode & 0o022 == 0 else {
    throw Refusal(.stateDirectory, "cannot use '\(base)': it must be a directory of this user that nobody else can write")
  }
  if isNew { return }
  guard !somebodyListens(on: paths.socket) else {
    throw Refusal(.stateDirectory, "a container '\(id)' is already supervised", hint: "delete it first, or choose another id")
  }
  do throws(SyscallError) { try emptyDirectory(paths.directory) } catch { throw Refusal(.stateDirectory, error.plain) }
}

/// Removes a container's directory, if it is there. It is flat.
func removeStateDirectory(_ directory: String) throws(Refusal) {
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
