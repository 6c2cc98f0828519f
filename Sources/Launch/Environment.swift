package import Kernel
package import Plan

extension StatePaths.Environment {
  /// What paths depend on, of this process.
  package static func own() throws(SyscallError) -> StatePaths.Environment {
    // The initial user namespace maps every id to itself (user_namespaces(7)); root of another one is a rootless engine's.
    let map = String(decoding: try readFile("/proc/self/uid_map", limit: 4096), as: UTF8.self)
    let isInitial = map.split { $0 == " " || $0 == "\n" } == ["0", "0", "4294967295"]
    return StatePaths.Environment(
      isRoot: effectiveUser == 0 && isInitial, runtimeDirectory: environment("XDG_RUNTIME_DIR"),
      stateHome: environment("XDG_STATE_HOME"), home: environment("HOME"))
  }
}
