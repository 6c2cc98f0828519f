package import Diagnostics

/// Where the state of one container lies: functions of what the caller knows, so that callgate, supervisor and callgatectl agree.
package struct StatePaths: Equatable, Sendable {
  /// `<base>/<first 32 characters of the id>-<16 hex digits>`: readable, and short enough for a socket below it.
  package let directory: String
  /// The JSON events file, one for all containers.
  package let events: String

  /// What the low-level runtime connects to.
  package var socket: String { "\(directory)/listener.sock" }

  /// The environment as far as paths depend on it.
  package struct Environment: Equatable, Sendable {
    /// Root of the initial user namespace. Rootless engines call their runtime as root of a namespace of theirs: that is not it.
    package var isRoot: Bool
    package var runtimeDirectory: String?
    package var stateHome: String?
    package var home: String?

    /// `XDG_RUNTIME_DIR`, `XDG_STATE_HOME` and `HOME`; empty and relative values count as absent (XDG Base Directory 0.8).
    package init(isRoot: Bool, runtimeDirectory: String?, stateHome: String?, home: String?) {
      func absolute(_ value: String?) -> String? { value.flatMap { $0.hasPrefix("/") ? $0 : nil } }
      self.isRoot = isRoot
      self.runtimeDirectory = absolute(runtimeDirectory)
      self.stateHome = absolute(stateHome)
      self.home = absolute(home)
    }
  }

  /// sockaddr_un.sun_path has 108 bytes, the last of them NUL (unix(7)).
  package static let maxSocketBytes = 107

  /// The directory that holds all containers' directories: /run/callgate for root, $XDG_RUNTIME_DIR/callgate for others.
  package static func base(_ environment: Environment) throws(Refusal) -> String {
    if environment.isRoot { return "/run/callgate" }
    guard let directory = environment.runtimeDirectory else {
      throw Refusal(.stateDirectory, "cannot choose a state directory: XDG_RUNTIME_DIR is not set")
    }
    return "\(directory)/callgate"
  }

  /// /var/log/callgate/events.jsonl for root, $XDG_STATE_HOME/callgate/events.jsonl or ~/.local/state/callgate/events.jsonl for others.
  package static func eventsFile(_ environment: Environment) throws(Refusal) -> String {
    if environment.isRoot { return "/var/log/callgate/events.jsonl" }
    if let state = environment.stateHome { return "\(state)/callgate/events.jsonl" }
    // Engines call their runtime with little more than XDG_RUNTIME_DIR; events then last as long as the session.
    guard let home = environment.home else { return "\(try base(environment))/events.jsonl" }
    return "\(home)/.local/state/callgate/events.jsonl"
  }

  /// What recordings are kept in: /var/lib/callgate/recordings for root, a folder beside the events file for others.
  package static func recordings(_ environment: Environment) throws(Refusal) -> String {
    if environment.isRoot { return "/var/lib/callgate/recordings" }
    let events = try eventsFile(environment)
    return "\(events[..<(events.lastIndex(of: "/") ?? events.startIndex)])/recordings"
  }

  /// `root` is the runtime's --root as given, empty where it was not: two engines may use one id.
  package init(id: String, root: String, in environment: Environment) throws(Refusal) {
    let name = "\(StatePaths.readable(id))-\(hexDigits(of: fnv1a(Array(root.utf8) + [0] + Array(id.utf8))))"
    directory = "\(try StatePaths.base(environment))/\(name)"
    events = try StatePaths.eventsFile(environment)
    guard socket.utf8.count <= StatePaths.maxSocketBytes else {
      throw Refusal(
        .stateDirectory, "cannot make a socket in '\(directory)': the path has more than \(StatePaths.maxSocketBytes) bytes")
    }
  }

  /// The first 32 bytes of an id, with '_' for what is no letter, digit, '_', '.', '+' or '-' (all that runc accepts in an id).
  package static func readable(_ id: String) -> String {
    var bytes = id.utf8.prefix(32).map { byte -> UInt8 in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "-"):
        byte
      default: UInt8(ascii: "_")
      }
    }
    if bytes.first == UInt8(ascii: ".") { bytes[0] = UInt8(ascii: "_") }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// FNV-1a, 64 bits: tells names apart and notices accidents. It authenticates nothing.
package func fnv1a(_ bytes: [UInt8]) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
  return hash
}

/// 16 lower-case hexadecimal digits.
package func hexDigits(of value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
