import Diagnostics
import Kernel
import OCI
import Plan

/// `delete`: the runtime first, then what callgate keeps of the container, and only if the runtime has really deleted it. So the
/// runtime is run and not become; for a container without state of ours it is become.
func delete(_ arguments: Arguments, _ runtime: Runtime) throws(Refusal) -> Never {
  guard let id = arguments.id, !arguments.idIsPattern else { try runtime.become() }
  let paths = try StatePaths(id: id, root: arguments.root ?? "", in: try StatePaths.Environment.own())
  guard try isDirectory(paths.directory) else { try runtime.become() }
  let status: CInt
  do throws(SyscallError) { status = try runWithOwnArguments(runtime.path) } catch { throw Refusal(.execFailed, error.plain) }
  if status == 0 { try removeStateDirectory(paths.directory) }
  leave(status)
}

private func isDirectory(_ path: String) throws(Refusal) -> Bool {
  do throws(SyscallError) { return try identity(of: path).isDirectory } catch {
    if error.isNotFound { return false }
    throw Refusal(.stateDirectory, error.plain)
  }
}
