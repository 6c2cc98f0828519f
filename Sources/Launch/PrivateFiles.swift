package import Diagnostics
package import Kernel

/// The path of a file that is not for users, `callgate-inspector` or the BPF object: beside this program in a build folder, in libexec
/// when installed.
package func privateFile(_ name: String) throws(SyscallError) -> String {
  let directory = try ownDirectory()
  let beside = "\(directory)/\(name)"
  return exists(beside) ? beside : "\(directory)/../libexec/callgate/\(name)"
}

/// The BPF object, Sources/BPF/snapshot.bpf.c compiled.
package let snapshotObject = "callgate-snapshot.bpf.o"

/// Whether the supervisor will be able to copy threads by BPF: root's capabilities, Linux 6.10, and the object at its place.
///
/// Where it will not, it has to stop threads for a moment, which it cannot under a filter with WAIT_KILLABLE_RECV.
package func supervisorUsesBPF() throws(Refusal) -> Bool {
  do throws(SyscallError) {
    guard try isInitialRoot(), try kernelVersion() >= (6, 10) else { return false }
    return exists(try privateFile(snapshotObject))
  } catch { throw Refusal(.unsupportedHost, error.plain) }
}
