internal import JSON
internal import Kernel

/// A connection by which the low-level runtime hands over a listener: the OCI runtime spec's container process state as JSON, and one
/// descriptor (config-linux.md, "The Container Process State").
///
/// The peer keeps its end open as long as it likes, and may connect long before it sends: what counts is the complete object.
final class Connection {
  let socket: UnixSocket
  private var text: [UInt8] = []
  private var descriptor: CInt?

  /// All annotations are in it; the spec sets no limit.
  static let maxBytes = 8 << 20

  init(_ socket: consuming UnixSocket) { self.socket = socket }

  deinit { if let descriptor { _ = OwnedFD(owning: descriptor) } }

  enum Progress: ~Copyable {
    case more
    /// `runtime` is the pid that executes the container's program, nil where the message does not say.
    case complete(Listener, runtime: UInt32?)
    case ended(Refused)
  }

  /// Why a connection brought no listener.
  enum Refused: Error, Equatable {
    case closed(afterBytes: Int)
    case tooLong
    case noDescriptor
    case wrongContainer(String)
    case system(SyscallError)
  }

  /// Takes what has come.
  func advance(expecting container: String?) -> Progress {
    while true {
      let received: UnixSocket.Received?
      do throws(SyscallError) {
        received = try socket.receive(limit: 65536, blocking: false)
      } catch {
        return .ended(.system(error))
      }
      guard var received else { return .more }
      while let came = received.descriptors.takeFirst() {
        // One is what the spec speaks of; a second one is closed, not kept.
        if descriptor == nil { descriptor = came.release() }
      }
      if received.bytes.isEmpty { return .ended(.closed(afterBytes: text.count)) }
      text += received.bytes
      guard text.count <= Self.maxBytes else { return .ended(.tooLong) }
      // The object may come in parts: what does not parse yet is not complete yet.
      let state: JSONValue
      do throws(JSONError) { state = try JSONValue(parsing: text) } catch { continue }
      return complete(state, expecting: container)
    }
  }

  private func complete(_ state: JSONValue, expecting container: String?) -> Progress {
    guard let raw = descriptor else { return .ended(.noDescriptor) }
    let id = state["state"]?["id"]?.text ?? ""
    if let container, id != container { return .ended(.wrongContainer(id)) }
    descriptor = nil
    // crun 1.8.1 writes 0 for an exec; runc and crun write the init process's pid at create.
    let pid: UInt32 = state["pid"]?.integer() ?? 0
    return .complete(Listener(OwnedFD(owning: raw)), runtime: pid == 0 ? nil : pid)
  }
}
