package import Kernel
package import Plan

/// The files that a container's state directory can hold.
package enum StateFile {
  /// Where the low-level runtime hands over the listener.
  package static let socket = "listener.sock"
  /// Who supervises the container: pid, profile, since when.
  package static let supervisor = "supervisor.json"
  /// Why a process of the container was killed, if one was.
  package static let exitReason = "exit-reason.json"

  static let all = [socket, supervisor, exitReason]
}

/// Removes a container's state directory and what callgate put there. What is gone already is no failure, and another's files in
/// there keep the directory.
package func removeState(of plan: Plan) { removeState(plan.stateDirectory) }

package func removeState(_ directory: String) {
  for name in StateFile.all {
    do throws(SyscallError) { try remove("\(directory)/\(name)") } catch {}
  }
  do throws(SyscallError) { try removeDirectory(directory) } catch {}
}

/// The path of a file that is not for users, `callgate-inspector` or the BPF object: beside this program in a build folder, in libexec
/// when installed.
package func privateFile(_ name: String) throws(SyscallError) -> String {
  let directory = try ownDirectory()
  let beside = "\(directory)/\(name)"
  return exists(beside) ? beside : "\(directory)/../libexec/callgate/\(name)"
}
