import Kernel

/// The core that the supervisor waits on.
///
/// A synchronous wake-up puts it on the core of the thread that calls. But while it waits there for its turn, or has just woken the thread up
/// and waits for that to sleep again, an idle core may pull it over, and from there each answer wakes another core, which takes
/// several times as long as all the rest. So where the calls come from one core, it is bound to that one, and let go with the first
/// that comes from elsewhere. Where that happens soon, it takes ever more calls from one core until it is bound again: with several threads
/// or containers the kernel's own balance is better.
package final class Perch {
  /// Those that it was given.
  let cores = Cores.ofThisThread()
  /// The one that it is bound to.
  private(set) var core: CInt?
  private var last: CInt = -1
  /// From the last core, one after the other.
  private var calls = 0
  private var callsToSettle = leastCalls

  private static let leastCalls = 16
  private static let mostCalls = 1 << 20
  /// After so many it was worth it.
  private static let callsOfWorth = 4096

  package init() {}

  /// A call came from this core, and is answered.
  func note(_ caller: CInt) {
    guard caller == last else {
      if core != nil {
        callsToSettle = calls < Perch.callsOfWorth ? min(4 * callsToSettle, Perch.mostCalls) : Perch.leastCalls
        leave()
      }
      (last, calls) = (caller, 0)
      return
    }
    calls += 1
    if core == nil, calls >= callsToSettle, let only = cores?.only(caller), only.bind(0) { (core, calls) = (caller, 0) }
  }

  /// It may run anywhere, as what it starts now may.
  func leave() {
    _ = cores?.bind(0)
    (core, calls) = (nil, 0)
  }

  /// Somebody has bound this thread otherwise meanwhile.
  func restore() { _ = (core.flatMap { cores?.only($0) } ?? cores)?.bind(0) }
}
