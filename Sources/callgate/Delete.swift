import Diagnostics
import Kernel
import Launch
import OCI
import Plan

/// `delete`: the runtime first, then what callgate keeps of the container, and only if the runtime has really deleted it. So the
/// runtime is run and not become; for a container without state of ours it is become.
func delete(_ arguments: Arguments, _ runtime: Runtime) throws(Refusal) -> Never {
  guard let id = arguments.id, !arguments.idIsPattern else { try runtime.become() }
  guard let directory = try stateDirectory(id, arguments.root ?? ""), try isDirectory(directory) else { try runtime.become() }
  let status: CInt
  do throws(SyscallError) { status = try runWithOwnArguments(runtime.path) } catch { throw Refusal(.execFailed, error.plain) }
  if status == 0 { try removeStateDirectory(directory) }
  leave(status)
}

/// Nil where the environment says too little to find it: the container must go all the same, and its supervisor tidies up.
private func stateDirectory(_ id: String, _ root: String) throws(Refusal) -> String? {
  let environment = try StatePaths.Environment.own()
  if !environment.isRoot, environment.runtimeDirectory == nil { return nil }
  return try StatePaths(id: id, root: root, in: environment).directory
}

private func isDirectory(_ path: String) throws(Refusal) -> Bool {
  do throws(SyscallError) { return try identity(of: path).isDirectory } catch {
    if error.isNotFound { return false }
    throw Refusal(.stateDirectory, error.plain)
  }
}
