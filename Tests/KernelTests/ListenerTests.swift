import Foundation
import Kernel
import Testing

/// One filter: getppid(2) notifies, everything else is allowed.
private let trapGetppid: [UInt8] = {
  func instruction(_ code: UInt16, _ jt: UInt8, _ jf: UInt8, _ k: UInt32) -> [UInt8] {
    [UInt8(truncatingIfNeeded: code), UInt8(code >> 8), jt, jf] + (0..<4).map { UInt8(truncatingIfNeeded: k >> (8 * $0)) }
  }
  return instruction(0x20, 0, 0, 0)  // ld  [nr]
    + instruction(0x15, 0, 1, 110)  // jeq #getppid
    + instruction(0x06, 0, 0, 0x7fc0_0000)  // ret USER_NOTIF
    + instruction(0x06, 0, 0, 0x7fff_0000)  // ret ALLOW
}()

/// Runs a child that is under the filter and makes one trapped call; `serve` gets the listener. The child exits with the call's errno,
/// or 100 where it was let through.
private func withTrappedChild(_ serve: (borrowing Listener, CInt) throws -> Void) throws -> Ending? {
  let pair = try UnixSocket.pair()
  if case .parent(let child) = try forkProcess() {
    guard var received = try pair.ours.receive(limit: 16), let descriptor = received.descriptors.takeFirst() else { exit(90) }
    try serve(Listener(descriptor), child)
    return try wait(for: child)
  }
  do {
    try enterFilter(sending: pair.theirs)
    let result = trappedCall()
    exitNow(result < 0 ? CInt(-result) : 100)
  } catch {
    exitNow(91)
  }
}

/// A function of its own, so that this process's copy of the listener is closed when it returns.
private func enterFilter(sending socket: borrowing OwnedFD) throws {
  let listener = try installFilter(trapGetppid, waitKillable: false)
  try UnixSocket(try socket.duplicate()).send([1], descriptors: [listener.raw])
}

/// glibc hands the kernel's answer through: getppid(2) cannot fail.
private func trappedCall() -> Int { min(0, Int(getppid())) }

@Suite struct ListenerTests {
  @Test func `an answer goes on or fails the call, and a dropped notification denies`() async {
    await #expect(processExitsWith: .success) {
      let proceeded = try withTrappedChild { listener, _ in
        guard let notification = try listener.next(), notification.isValid() else { exit(1) }
        guard notification.number == 110 else { exit(2) }
        notification.answer(.proceed)
      }
      guard proceeded == .exited(100) else { exit(3) }
      let failed = try withTrappedChild { listener, _ in
        guard let notification = try listener.next() else { exit(4) }
        notification.answer(.fail(17))
      }
      guard failed == .exited(17) else { exit(5) }
      let dropped = try withTrappedChild { listener, _ in
        guard let notification = try listener.next() else { exit(6) }
        _ = consume notification
      }
      guard dropped == .exited(1) else { exit(7) }
      exit(0)
    }
  }

  @Test func `a listener that is closed fails the call`() async {
    await #expect(processExitsWith: .success) {
      let ending = try withTrappedChild { _, _ in }
      exit(ending == .exited(38) ? 0 : 1)
    }
  }

  @Test func `a process that was killed while it waited leaves nothing to answer`() async {
    await #expect(processExitsWith: .success) {
      let ending = try withTrappedChild { listener, child in
        guard let notification = try listener.next() else { exit(1) }
        try PidFD(UInt32(child)).kill()
        while notification.isValid() { usleep(1000) }
        guard !notification.answer(.proceed) else { exit(2) }
      }
      exit(ending == .killed(9) ? 0 : 3)
    }
  }

  @Test func `registers of a waiting thread are read by stopping it, and its call comes again`() async {
    await #expect(processExitsWith: .success) {
      let ending = try withTrappedChild { listener, child in
        guard let first = try listener.next() else { exit(1) }
        guard let registers = try interruptForRegisters(UInt32(child)) else { exit(2) }
        guard registers.instruction == first.instruction, registers.general.count == 16, registers.threadPointer != 0 else { exit(3) }
        guard !first.isValid() else { exit(4) }
        guard let second = try listener.next(), second.instruction == registers.instruction else { exit(5) }
        second.answer(.proceed)
      }
      exit(ending == .exited(100) ? 0 : 6)
    }
  }
}
