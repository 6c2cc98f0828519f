internal import Kernel
internal import Wire

/// The inspector's side of the socket.
final class Conversation {
  private let socket: UnixSocket

  init(_ socket: consuming UnixSocket) { self.socket = socket }

  struct Question: ~Copyable {
    let message: Message
    var descriptors: UnixSocket.Descriptors
  }

  func say(_ message: Message) throws(Failure) {
    do throws(SyscallError) { try socket.send(message.encode()) } catch { throw .system(error) }
  }

  /// False where nobody has said anything for so long.
  func isHeard(withinMilliseconds milliseconds: CInt) throws(Failure) -> Bool {
    do throws(SyscallError) { return try waitReadable(socket.raw, milliseconds: milliseconds) } catch { throw .system(error) }
  }

  /// The next message; nil where the supervisor has closed the socket.
  func hear() throws(Failure) -> Question? {
    let received: UnixSocket.Received?
    do throws(SyscallError) { received = try socket.receive(limit: Message.limit) } catch { throw .system(error) }
    guard let received, !received.bytes.isEmpty else { return nil }
    guard !received.isTruncated else { throw .outOfTurn }
    do throws(WireError) {
      return Question(message: try Message(decoding: received.bytes), descriptors: received.keepDescriptors())
    } catch {
      throw .wire(error)
    }
  }

  /// The file that the inspected thread has mapped at exactly [start, end); nil where there is none to be had.
  func openMapped(start: UInt64, end: UInt64) throws(Failure) -> OwnedFD? {
    try say(.openMapped(start: start, end: end))
    guard var answer = try hear(), case .mapped(let errno) = answer.message else { throw .outOfTurn }
    guard errno == 0 else { return nil }
    guard let file = answer.descriptors.takeFirst() else { throw .outOfTurn }
    return file
  }
}
