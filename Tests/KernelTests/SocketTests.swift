import Foundation
import Kernel
import Testing

/// A pipe's reading end, whose writing end went through a socket, was received and was never taken.
private func readingEndOfWhatNobodyTook() throws -> OwnedFD {
  let pair = try UnixSocket.pair()
  let theirs = UnixSocket(try pair.theirs.duplicate())
  let pipe = try Kernel.Pipe()
  try theirs.send([1], descriptors: [pipe.writing.raw])
  let received = try pair.ours.receive(limit: 10)?.descriptors.count
  #expect(received == 1)
  return try pipe.reading.duplicate()
}

@Suite struct SocketTests {
  @Test func `a message brings its bytes and its descriptors`() throws {
    let pair = try UnixSocket.pair()
    let theirs = UnixSocket(try pair.theirs.duplicate())
    let pipe = try Kernel.Pipe()
    try theirs.send(Array("hello".utf8), descriptors: [pipe.reading.raw])
    guard var received = try pair.ours.receive(limit: 100) else {
      Issue.record("nothing came")
      return
    }
    #expect(received.bytes == Array("hello".utf8))
    let isCut = received.isTruncated
    #expect(!isCut)
    guard let file = received.descriptors.takeFirst() else {
      Issue.record("no descriptor came")
      return
    }
    try writeAll([42], to: pipe.writing)
    #expect(try readSome(file, limit: 10) == [42])
  }

  @Test func `a message longer than the buffer is known to be cut`() throws {
    let pair = try UnixSocket.pair()
    let theirs = UnixSocket(try pair.theirs.duplicate())
    try theirs.send([UInt8](repeating: 7, count: 100))
    let isCut = try pair.ours.receive(limit: 10)?.isTruncated
    #expect(isCut == true)
  }

  @Test func `nothing to read is nothing, the other end's close is the end`() throws {
    let pair = try UnixSocket.pair()
    let nothing = try pair.ours.receive(limit: 10, blocking: false)?.bytes
    #expect(nothing == nil)
    let ours = pair.keepOurs()
    let end = try ours.receive(limit: 10)?.bytes
    #expect(end == [])
  }

  // By the pipe's end of file, not by counting: a process of tests opens and closes descriptors on other threads, too.
  @Test func `descriptors that nobody takes are closed`() throws {
    let reading = try readingEndOfWhatNobodyTook()
    // A process that another test forks has the writing end until its execve: hence the wait.
    guard try waitReadable(reading.raw, milliseconds: 60_000) else {
      Issue.record("the descriptor is still open")
      return
    }
    #expect(try readSome(reading, limit: 10) == [])
  }

  @Test func `a listening socket is its owner's, and accepting does not wait`() throws {
    let path = NSTemporaryDirectory() + "callgate-\(UUID().uuidString.prefix(8)).sock"
    let door = try UnixSocket.listening(at: path)
    #expect(try identity(of: path).mode & 0o777 == 0o600)
    let early = try door.accept()?.raw
    #expect(early == nil)
    let caller = try UnixSocket.connected(to: path)
    guard let accepted = try door.accept() else {
      Issue.record("nobody came")
      return
    }
    #expect(try accepted.peer() == UInt32(processID))
    _ = consume caller
    try remove(path)
  }

  @Test func `a path that no socket can have is refused`() {
    #expect(throws: SyscallError.self) { _ = try UnixSocket.listening(at: "/tmp/" + String(repeating: "x", count: 200)) }
  }
}
